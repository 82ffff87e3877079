/** An example for self-managed clusters as a user runs it: its program and its Pulumi.yaml, on hosts that never heard of encryption. */
import { join } from "node:path";
import type { PluginPodSettings } from "../../../core/plugin-static-pod";
import { snippets } from "../../docs/markdown";
import { exampleFiles } from "./example-files";
import { type PulumiProject, pulumiProject } from "./pulumi-project";
import { type RealCluster, realCluster } from "./real-cluster";
import { type SshCluster, sshCluster, withoutEncryption } from "./ssh-cluster";

export interface SshExample {
  readonly cluster: RealCluster;
  readonly ssh: SshCluster;
  readonly project: PulumiProject;
  /** The preview that the example's README promises, a line of it each. */
  readonly promisedPreview: readonly string[];
  close(): Promise<void>;
}

export interface SshExampleOptions {
  /** Of the folder in examples/. */
  readonly name: string;
  readonly secrets: number;
  /** How the plugins find their cloud, which on real hosts they do by themselves. */
  readonly plugin: Partial<PluginPodSettings>;
  readonly noPorts?: readonly string[];
  /** Plugins of Pulumi besides ours, by name: their folders. */
  readonly providers?: Readonly<Record<string, string>>;
}

/** Servers that restart, because a restart takes seconds and a reload up to a minute. */
export async function sshExample(options: SshExampleOptions): Promise<SshExample> {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    const cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(options.secrets);
    await withoutEncryption(cluster, true);
    const ssh = await sshCluster(cluster, {
      plugin: options.plugin,
      ...(options.noPorts === undefined ? {} : { noPorts: options.noPorts }),
    });
    closing.push(() => ssh.close());
    const project = await pulumiProject({
      directory: join(cluster.directory, "project"),
      files: exampleFiles(options.name, options.providers),
    });
    const { described } = ssh;
    await project.succeed(["config", "set-all", "--secret", `sshKey=${described.ssh.privateKey ?? ""}`]);
    await project.configure({
      keyVersion: 1,
      sshUser: described.ssh.user,
      knownHosts: described.ssh.knownHosts,
      hosts: JSON.stringify(described.hosts),
      kubernetes: JSON.stringify(described.kubernetes),
      plugin: JSON.stringify(described.plugin),
    });
    return { cluster, ssh, project, promisedPreview: promisedPreview(options.name), close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** The block of the README that begins as a preview does. */
function promisedPreview(name: string): readonly string[] {
  const blocks = snippets(join("examples", name, "README.md"), "text").map(({ text }) => steadyPreview(text));
  return blocks.find((lines) => lines.some((line) => line.startsWith("Previewing update"))) ?? [];
}

/**
 * What a preview says, without what differs from run to run and from cluster to cluster: the order of what goes on at the same time,
 * the number of hosts and what exactly each lacks, the stack's name, progress.
 */
export function steadyPreview(text: string): readonly string[] {
  const lines = text.split("\n").map((line) =>
    line
      .replace(/\b(test|prod)\b/g, "STACK")
      .replace(/^ *warning: cp\d( is set up .*kube-apiserver\.yaml): .*/, "warning: CP$1")
      .replace(/ create \d* ?warnings?\b.*/, " create")
      .replace(/\s+/g, " ")
      .trim(),
  );
  const said = lines.filter((line) => /^(Previewing|\+|warning:|Outputs:|Resources:|\w+ ?: )/.test(line));
  return [...new Set(said)].sort();
}
