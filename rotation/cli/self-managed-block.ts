/** The block `selfManaged` of a configuration file: as in the inputs of an EncryptionRollout, with its secrets in files. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { InputViolation } from "../../core/input-rules";
import type { SelfManagedCluster } from "../../core/self-managed-cluster";
import { selfManagedCluster, selfManagedViolations } from "../../core/self-managed-inputs";
import { isRecord } from "./records";
import { type Place, type Reading, violation } from "./usage-error";

/** Inputs that are texts in a Pulumi program and names of files here; the secret ones only so. */
const inFiles = [
  { block: "ssh", input: "privateKey", file: "privateKeyFile", secret: true },
  { block: "ssh", input: "passphrase", file: "passphraseFile", secret: true },
  { block: "ssh", input: "knownHosts", file: "knownHostsFile", secret: false },
  { block: "kubernetes", input: "kubeconfig", file: "kubeconfigFile", secret: true },
] as const;

export function readSelfManagedBlock(value: unknown, { path, base }: Place): Reading<SelfManagedCluster> {
  if (!isRecord(value)) return violation(path, "is no object; write { hosts, ssh, plugin }");
  const violations: InputViolation[] = [];
  const blocks: Record<string, unknown> = { ...value };
  for (const { block, input, file, secret } of inFiles) {
    const inner = blocks[block];
    if (!isRecord(inner)) continue;
    if (secret && inner[input] !== undefined) {
      violations.push({
        path: `${path}.${block}.${input}`,
        reason: `is a secret, which does not belong into this file; name a file in ${file}`,
      });
    }
    const { [file]: name, ...rest } = inner;
    blocks[block] = rest;
    if (name === undefined) continue;
    const at = `${path}.${block}.${file}`;
    if (typeof name !== "string" || name === "") violations.push({ path: at, reason: "is no text; name a file" });
    else {
      try {
        const text = readFileSync(resolve(base, name), "utf8");
        blocks[block] = { ...rest, [input]: input === "passphrase" ? text.trim() : text };
      } catch (thrown) {
        const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
        violations.push({ path: at, reason: `names ${resolve(base, name)}, which cannot be read (${code})` });
        // Said already; that it is missing as well is no news.
        blocks[block] = { ...rest, [input]: "unread" };
      }
    }
  }
  violations.push(...selfManagedViolations(blocks, path));
  return violations.length > 0 ? { violations } : { value: selfManagedCluster(blocks) };
}
