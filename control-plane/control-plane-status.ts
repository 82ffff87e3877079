/** What runs in a state directory, and whether it is ready. */
import { resolve } from "node:path";
import { readDescriptor } from "./descriptor";
import type { HostStatus } from "./pods/pod-status";
import { readHostStatus } from "./pods/pod-status";
import { askHealth } from "./readiness";
import { runningPods } from "./running-pods";
import { etcdHostName, stateLayout } from "./state-layout";
import { runningSupervisor } from "./supervisor-record";

export interface ServerHealth {
  readonly host: string;
  readonly url: string;
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason?: string;
}

export interface ControlPlaneStatus {
  /** `absent`: no control plane was started here. `broken`: pods run that no supervisor looks after; start or stop it. */
  readonly state: "absent" | "stopped" | "running" | "broken";
  readonly stateDirectory: string;
  readonly kubernetesVersion?: string;
  readonly separateHostNames?: boolean;
  readonly supervisorPid?: number;
  readonly servers: readonly ServerHealth[];
  readonly hosts: readonly HostStatus[];
}

/** Looks, and changes nothing. */
export async function statusControlPlane(stateDirectory: string): Promise<ControlPlaneStatus> {
  const layout = stateLayout(resolve(stateDirectory));
  const controlPlane = await readDescriptor(layout.directory);
  if (controlPlane === undefined) return { state: "absent", stateDirectory: layout.directory, servers: [], hosts: [] };
  const { kubernetesVersion, separateHostNames, etcd } = controlPlane;
  const names = [etcdHostName, ...controlPlane.hosts.map(({ name }) => name)];
  const supervisor = await runningSupervisor(layout);
  const anyPod = names.some((name) => runningPods(layout, name).length > 0);
  const urls = [
    { host: etcdHostName, url: etcd.endpoints[0] ?? "", path: "/health", client: etcd.client },
    ...controlPlane.hosts.map(({ name, apiServerUrl, client }) => ({
      host: name,
      url: apiServerUrl,
      path: "/readyz",
      client,
    })),
  ];
  const servers = supervisor || anyPod ? await Promise.all(urls.map(health)) : [];
  return {
    state: supervisor ? "running" : anyPod ? "broken" : "stopped",
    stateDirectory: layout.directory,
    kubernetesVersion,
    separateHostNames,
    ...(supervisor && { supervisorPid: supervisor.pid }),
    servers,
    hosts: names.flatMap((name) => {
      const recorded = readHostStatus(layout.host(name).statusFile);
      if (recorded === undefined || supervisor !== undefined) return recorded ?? [];
      // Nobody keeps the record up to date: only what runs is true.
      const pids = runningPods(layout, name).map(({ pid }) => pid);
      return { ...recorded, pods: recorded.pods.filter(({ pid }) => pid !== undefined && pids.includes(pid)) };
    }),
  };
}

async function health(server: {
  host: string;
  url: string;
  path: string;
  client: Parameters<typeof askHealth>[2];
}): Promise<ServerHealth> {
  const { host, url, path, client } = server;
  const answer = await askHealth(url, path, client);
  return answer.ready ? { host, url, ready: true } : { host, url, ready: false, reason: answer.reason };
}
