/** An example for AKS as a user runs it: its program and its Pulumi.yaml, on an Azure of ours. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import type { FakeArm } from "../../fakes/arm/fake-arm";
import { azureNativeEnvironment, buildAzureNative } from "../../fakes/azure-native/stand-in";
import { type PulumiProject, type PulumiRun, pulumiProject, repository } from "./pulumi-project";

export interface AzureExample {
  readonly project: PulumiProject;
  run(...args: string[]): Promise<PulumiRun>;
  succeed(...args: string[]): Promise<string>;
  /** Without a preview before it. */
  up(...more: string[]): Promise<string>;
  close(): void;
}

export async function azureExample(name: string, cloud: FakeArm): Promise<AzureExample> {
  const directory = mkdtempSync(join(tmpdir(), `kms-etcd-${name}-`));
  const environment = await azureNativeEnvironment(cloud, directory);
  const folder = join(directory, "project");
  mkdirSync(folder);
  const own = parse(readFileSync(join(repository, "examples", name, "Pulumi.yaml"), "utf8")) as {
    readonly plugins: { readonly providers: readonly { readonly name: string; readonly path: string }[] };
  };
  // The example's own, but for where things are: the compiled program, which loads faster, and plugins by absolute paths.
  const providers = [
    ...own.plugins.providers.map((plugin) => ({ ...plugin, path: join(repository, "examples", name, plugin.path) })),
    { name: "azure-native", path: await buildAzureNative(directory) },
  ];
  const project = await pulumiProject({
    directory: folder,
    files: {
      "Pulumi.yaml": JSON.stringify({
        ...own,
        main: "index.js",
        runtime: { name: "nodejs", options: { typescript: false } },
        plugins: { providers },
      }),
      "index.js": `module.exports = require(${JSON.stringify(join(repository, "dist", "examples", name))});\n`,
    },
  });
  const succeed = (...args: string[]) => project.succeed(args, environment);
  return {
    project,
    run: (...args) => project.run(args, environment),
    succeed,
    up: (...more) => succeed("up", "--yes", "--skip-preview", ...more),
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** What a preview does with which resources, sorted: Pulumi shows them in the order in which they happen to come. */
export function previewTable(text: string): readonly string[] {
  const lines = text.split("\n").flatMap((line) => {
    const [, sign, type, name, step] =
      /^ *([-+~]+) +(\S+:\S+:\S+) +(\S+) +(create|update|replace|delete)\b/.exec(line) ?? [];
    // The stack's name is its user's choice.
    if (type === "pulumi:pulumi:Stack") return [];
    return sign === undefined || step === undefined ? [] : [`${sign} ${type ?? ""} ${name ?? ""} ${step}`];
  });
  return [...new Set(lines)].sort();
}

/** The same of a preview in the example's README, the first one or the one with this key version. */
export function previewInReadme(name: string, keyVersion = 1): readonly string[] {
  const text = readFileSync(join(repository, "examples", name, "README.md"), "utf8");
  const shown = [...text.matchAll(/```console\n\$ pulumi preview\n(.*?)```/gs)].map(([, output = ""]) => output);
  return previewTable(shown[keyVersion - 1] ?? "");
}
