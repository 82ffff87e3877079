/** A control plane's status as people read it. */
import type { ControlPlaneStatus } from "./control-plane-status";
import { apiServerPodName, etcdPodName } from "./state-layout";

/** A line for the whole, then a line a pod. */
export function formatStatus(status: ControlPlaneStatus): string {
  const version = status.kubernetesVersion === undefined ? "" : `, Kubernetes ${status.kubernetesVersion}`;
  const lines = [`${status.stateDirectory}: ${status.state}${version}`];
  if (status.separateHostNames === false) {
    lines.push("  started without root: all API servers share one host name and one identity Lease");
  }
  for (const host of status.hosts) {
    const server = status.servers.find((candidate) => candidate.host === host.host);
    for (const pod of host.pods) {
      const health =
        server === undefined || (pod.name !== apiServerPodName && pod.name !== etcdPodName)
          ? ""
          : server.ready
            ? `, ready at ${server.url}`
            : `, not ready: ${server.reason}`;
      const process = pod.pid === undefined ? "" : ` process ${pod.pid}`;
      lines.push(`  ${host.host}  ${pod.name}  ${pod.phase}${process}, ${pod.restarts} restarts${health}`);
      if (pod.message !== undefined) lines.push(`      ${pod.message}`);
    }
    for (const problem of host.problems) lines.push(`  ${host.host}  ${problem.file}: ${problem.message}`);
  }
  return lines.join("\n");
}
