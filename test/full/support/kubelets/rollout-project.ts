/** A Pulumi program that rolls keys of a Key Vault out to a self-managed cluster, with the real CLI. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AzureKeyReference } from "../../../../core/key-reference";
import type { SelfManagedCluster } from "../../../../core/self-managed-cluster";
import { type PulumiProject, projectFile, pulumiProject, repository } from "../../../e2e/support/pulumi-project";

/** @param keys by version, from 1 on. */
export async function rolloutProject(
  directory: string,
  cluster: SelfManagedCluster,
  keys: readonly AzureKeyReference[],
): Promise<PulumiProject> {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "cluster.json"), JSON.stringify(cluster), { mode: 0o600 });
  const versions = keys.map(({ kind: _, ...azure }, index) => ({ version: index + 1, azure }));
  return pulumiProject({
    directory,
    files: {
      "Pulumi.yaml": projectFile("index.js", join(repository, "provider")),
      "index.js": `
        const pulumi = require("@pulumi/pulumi");
        const { EncryptionRollout } = require(${JSON.stringify(join(repository, "dist", "components", "index.js"))});
        const rollout = new EncryptionRollout("etcd", {
          keyVersion: new pulumi.Config().requireNumber("keyVersion"),
          keys: ${JSON.stringify(versions)},
          selfManaged: JSON.parse(require("fs").readFileSync("cluster.json", "utf8")),
        });
        exports.activeKeyVersion = rollout.activeKeyVersion;
        exports.evidence = rollout.evidence;`,
    },
  });
}
