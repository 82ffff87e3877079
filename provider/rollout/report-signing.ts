/** `reportSigning`: the private key that a rollout's report is signed with. It stands in the state as a secret, or not at all. */
import { isAbsolute } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import { readSigningKey, type SigningKey } from "../../rotation/report/envelope";
import { readSigningKeyFile } from "../../rotation/report/signing-key-file";
import { hasUnknown, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";

/** Paths that the state must hold as secrets, whoever gave them as plain values. */
export const secretSigningInputs = ["reportSigning.privateKey"];

const inputNames = ["privateKey", "privateKeyFile"];

/** What is wrong with it. A file is looked at when it is used: preview may run where it is not. */
export function reportSigningProblems(value: PropertyValue | undefined): readonly CheckProblem[] {
  if (value === undefined || value === null || value === unknown) return [];
  const path = "reportSigning";
  if (!isObject(value)) return [{ path, reason: "is not an object; write { privateKeyFile: ... }" }];
  const others = Object.keys(value).filter((name) => !inputNames.includes(name));
  if (others.length > 0) return others.map((name) => ({ path: `${path}.${name}`, reason: "is not an input" }));
  const given = inputNames.filter((name) => value[name] !== undefined && value[name] !== null);
  if (given.length !== 1) {
    return [{ path, reason: `has ${given.length === 0 ? "no key" : "two keys"}; give privateKey or privateKeyFile` }];
  }
  const { privateKey, privateKeyFile } = value;
  if (given[0] === "privateKeyFile") {
    const isPath = privateKeyFile === unknown || (typeof privateKeyFile === "string" && isAbsolute(privateKeyFile));
    const reason = "is no absolute path; name a private key in PEM form on the machine that runs pulumi up";
    return isPath ? [] : [{ path: `${path}.privateKeyFile`, reason }];
  }
  if (privateKey === unknown) return [];
  // Nothing of the value may be in a message.
  const noKey = {
    path: `${path}.privateKey`,
    reason: "is no private key in PEM form (Ed25519, or ECDSA on P-256, P-384, P-521)",
  };
  if (typeof privateKey !== "string") return [noKey];
  try {
    readSigningKey(privateKey, "reportSigning.privateKey");
    return [];
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError)) throw thrown;
    return [noKey];
  }
}

/** Undefined where none is given. Throws KmsEtcdError for a file that cannot be used. */
export async function signingKeyOf({ reportSigning }: Properties): Promise<SigningKey | undefined> {
  if (!isObject(reportSigning) || hasUnknown(reportSigning)) return undefined;
  const { privateKey, privateKeyFile } = reportSigning;
  if (typeof privateKey === "string") return readSigningKey(privateKey, "reportSigning.privateKey");
  return typeof privateKeyFile === "string" ? readSigningKeyFile(privateKeyFile) : undefined;
}
