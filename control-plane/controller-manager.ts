/**
 * kube-controller-manager with chosen controllers alone: what a control plane of ours lacks otherwise, for those who want one
 * of its controllers.
 */
import { findTool } from "../tools/find-tool";
import type { Report } from "../tools/report";
import { type ChildProgram, startChildProgram } from "./child-program";
import { logTail } from "./log-tail";

export interface ControllerManagerOptions {
  /** Kubeconfig of an administrator. */
  readonly kubeconfig: string;
  readonly controllers: readonly string[];
  /** For example `--feature-gates=StorageVersionMigrator=true`. */
  readonly arguments?: readonly string[];
  /** Where its output goes. */
  readonly logFile: string;
  readonly report?: Report;
}

/** The storage version migrator, and the garbage collector whose caches it lists objects from. */
export const storageVersionMigration = {
  apiServerArguments: [
    "--feature-gates=StorageVersionMigrator=true",
    "--runtime-config=storagemigration.k8s.io/v1beta1=true",
  ],
  controllers: ["storage-version-migrator-controller", "garbage-collector-controller"],
  arguments: ["--feature-gates=StorageVersionMigrator=true"],
} as const;

/** Returns when its controllers have been started. */
export async function startControllerManager(options: ControllerManagerOptions): Promise<ChildProgram> {
  const { kubeconfig, controllers, logFile, report } = options;
  const { path } = await findTool("kube-controller-manager", report === undefined ? {} : { report });
  const args = [
    `--kubeconfig=${kubeconfig}`,
    `--controllers=${controllers.join(",")}`,
    "--leader-elect=false",
    // It serves its health and metrics to nobody.
    "--secure-port=0",
    "--use-service-account-credentials=false",
    "--v=2",
    ...(options.arguments ?? []),
  ];
  const started = controllers.map((controller) => `"Controller starting..." controller="${controller}"`);
  return startChildProgram(path, args, logFile, async () => {
    const said = logTail(logFile, Number.MAX_SAFE_INTEGER);
    return started.every((line) => said.includes(line));
  });
}
