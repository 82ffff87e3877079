/** A Pulumi project that finds the Azure of a test: the stand-in for azure-native, and the environment in which all reach it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FakeArm } from "../../fakes/arm/fake-arm";
import { azureNativeEnvironment, buildAzureNative } from "../../fakes/azure-native/stand-in";
import { type PulumiProject, type PulumiRun, pulumiProject } from "./pulumi-project";

export interface AzureProject {
  readonly project: PulumiProject;
  run(...args: string[]): Promise<PulumiRun>;
  succeed(...args: string[]): Promise<string>;
  /** Without a preview before it. */
  up(...more: string[]): Promise<string>;
  close(): void;
}

/** @param files of the project, for these plugins besides ours. */
export async function azureProject(
  cloud: FakeArm,
  files: (plugins: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
): Promise<AzureProject> {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-azure-"));
  const environment = await azureNativeEnvironment(cloud, directory);
  const project = await pulumiProject({
    directory: join(directory, "project"),
    files: files({ "azure-native": await buildAzureNative(directory) }),
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
