/**
 * The runbooks' own program, as docs/runbooks/README.md has it, on control-plane hosts that are reached over SSH and with keys that are there
 * already; and beside it the `kms-etcd.yaml` that the runbooks' commands name.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { stringify } from "yaml";
import type { AwsKeyReference, AzureKeyReference } from "../../../core/key-reference";
import { snippets } from "../../docs/markdown";
import { type PulumiProject, programFiles, pulumiProject, repository } from "../../e2e/support/pulumi-project";
import type { SshCluster } from "../../e2e/support/ssh-cluster";

export interface RunbookProject {
  readonly project: PulumiProject;
  /** Says in `kms-etcd.yaml` which keys there are by now. */
  declare(keys: Readonly<Record<number, AzureKeyReference | AwsKeyReference>>): void;
}

/** @param keys the block in the place of `localKey`: its text in the program, which may ask the stack's configuration. */
export async function runbookProject(ssh: SshCluster, keys: string): Promise<RunbookProject> {
  const directory = join(ssh.cluster.directory, "project");
  const project = await pulumiProject({ directory, files: programFiles(runbookProgram(keys)) });
  const { described } = ssh;
  const { privateKey = "", knownHosts, ...login } = described.ssh;
  await project.succeed(["config", "set-all", "--secret", `sshKey=${privateKey}`]);
  await project.configure({
    hosts: JSON.stringify(described.hosts),
    ssh: JSON.stringify({ ...login, knownHosts }),
    kubernetes: JSON.stringify(described.kubernetes),
    plugin: JSON.stringify(described.plugin),
  });
  writeFileSync(join(directory, "id"), privateKey, { mode: 0o600 });
  writeFileSync(join(directory, "known_hosts"), knownHosts);
  return {
    project,
    declare(declared) {
      const selfManaged = {
        ...described,
        ssh: { ...login, privateKeyFile: "id", knownHostsFile: "known_hosts" },
      };
      const entries = Object.entries(declared).map(([version, { kind, ...key }]) => ({
        version: Number(version),
        [kind]: key,
      }));
      writeFileSync(join(directory, "kms-etcd.yaml"), stringify({ selfManaged, keys: entries }));
    },
  };
}

const hosts = `selfManaged: {
    hosts: config.requireObject("hosts"),
    ssh: { ...config.requireObject<{ user: string; knownHosts: string }>("ssh"), privateKey: config.requireSecret("sshKey") },
    kubernetes: config.requireObject("kubernetes"),
    plugin: config.requireObject("plugin"),
  },`;

function runbookProgram(keys: string): string {
  const [program] = snippets("docs/runbooks/README.md", "ts");
  const text = (program?.text ?? "")
    .replace(/^ *localKey: .*$/m, () => `  ${keys},`)
    .replace(/^ *local: .*$/m, () => `  ${hosts}`);
  assert.ok(text.includes(keys) && text.includes(hosts), "the program in the runbooks has other lines");
  const { outputText } = ts.transpileModule(text, { compilerOptions: { module: ts.ModuleKind.CommonJS } });
  return outputText.replaceAll('"pulumi-kms-etcd"', JSON.stringify(join(repository, "dist", "components")));
}
