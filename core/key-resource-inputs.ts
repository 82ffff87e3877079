/** What the components that hold one cloud's keys, AwsKmsKey and AzureKeyVaultKey, have in common in their inputs. Pure. */
import {
  declaredVersions,
  type InputViolation,
  keyVersionRange,
  keyVersionViolations,
  unknownInputViolations,
} from "./input-rules";

type Inputs = Readonly<Record<string, unknown>>;

/** Either what is wrong already, so that nothing further can be looked at, or the source and the versions that have keys. */
export type KeyResourceHead =
  | { readonly violations: readonly InputViolation[] }
  | { readonly violations?: never; readonly source: Inputs; readonly declared: readonly number[] };

/** Names of inputs, versions, and that there is a source; `sourceInputs` are those of the cloud's. */
export function keyResourceHead(
  inputs: Inputs,
  inputNames: readonly string[],
  sourceInputs: readonly string[],
): KeyResourceHead {
  const { source, newestKeyVersion, oldestKeyVersion } = inputs;
  const range = { keyVersion: newestKeyVersion, oldestKeyVersion };
  const violations = [
    ...unknownInputViolations(inputs, inputNames),
    // Here the newest version is the one that counts, and it goes by that name.
    ...keyVersionViolations(range).map((violation) =>
      violation.path === "keyVersion" ? { ...violation, path: "newestKeyVersion" } : violation,
    ),
  ];
  if (violations.length > 0) return { violations };
  if (typeof source !== "object" || source === null) {
    return { violations: [{ path: "source", reason: `is missing; its inputs are ${sourceInputs.join(", ")}` }] };
  }
  return { source: source as Inputs, declared: declaredVersions(keyVersionRange(range)) };
}
