/** An example for AKS as a user runs it: its program and its Pulumi.yaml, on an Azure of ours. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FakeArm } from "../../fakes/arm/fake-arm";
import { type AzureProject, azureProject } from "./azure-project";
import { exampleFiles } from "./example-files";
import { repository } from "./pulumi-project";

export function azureExample(name: string, cloud: FakeArm): Promise<AzureProject> {
  return azureProject(cloud, (plugins) => exampleFiles(name, plugins));
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
