/** A Pulumi project with the program of examples/local, on a real control plane of this machine. */
import { join } from "node:path";
import { localControlPlaneFile } from "../../../core/local-control-plane";
import { exampleProgram, type PulumiProject, programFiles, pulumiProject } from "./pulumi-project";
import type { RealCluster } from "./real-cluster";

export interface LocalProject {
  readonly project: PulumiProject;
  /** The folder of the key files. It is made by the first `pulumi up`. */
  readonly keys: string;
  readonly controlPlaneFile: string;
}

/** @param stack made and chosen beside `test`; it gets the settings. */
export async function localProject(cluster: RealCluster, stack?: string): Promise<LocalProject> {
  const directory = join(cluster.directory, "project");
  const project = await pulumiProject({ directory, files: programFiles(exampleProgram("local")) });
  if (stack !== undefined) await project.succeed(["stack", "init", stack]);
  const keys = join(cluster.directory, "project-keys");
  const controlPlaneFile = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
  await project.configure({ keyDirectory: keys, controlPlaneFile });
  return { project, keys, controlPlaneFile };
}
