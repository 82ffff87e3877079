/** A Pulumi project with the program of examples/local, on a real control plane of this machine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { localControlPlaneFile } from "../../../core/local-control-plane";
import { localExample, type PulumiProject, projectFile, pulumiProject, repository } from "./pulumi-project";
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
  mkdirSync(directory);
  const project = await pulumiProject({
    directory,
    files: {
      "Pulumi.yaml": projectFile("index.js", join(repository, "provider")),
      "index.js": `module.exports = require(${JSON.stringify(localExample)});\n`,
    },
  });
  if (stack !== undefined) await project.succeed(["stack", "init", stack]);
  const keys = join(cluster.directory, "project-keys");
  const controlPlaneFile = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
  await project.configure({ keyDirectory: keys, controlPlaneFile });
  return { project, keys, controlPlaneFile };
}
