/** The Node and the mirror pods by which `kops validate cluster` and `kops rolling-update` see a machine, as its kubelet would report them. */
import type { KopsMachine, MachineAnswer } from "./kops-machine";
import type { MachinePod } from "./machine-pods";

export interface Instance {
  readonly id: string;
  readonly address: string;
  readonly zone: string;
  readonly group: string;
  readonly isControlPlane: boolean;
}

/** To any API server that is ready; throws where there is none. */
export type AskCluster = (method: string, path: string, body?: unknown, contentType?: string) => Promise<MachineAnswer>;

const version = "v1.36.0"; // `kops update cluster` can't go on with a node that has none
const pods = "/api/v1/namespaces/kube-system/pods";
/** kops looks for these on each control-plane machine; two of them are the API server's companions, which nothing here needs. */
const control: readonly MachinePod[] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler"].map((name) => ({
  name,
  labels: { "k8s-app": name },
  priorityClassName: "system-node-critical",
  image: "stand-in",
  command: [],
  args: [],
  mounts: [],
  readiness: undefined,
}));

/** The pods come first: a validation that sees the Node without them would wait for half a minute. */
export async function join(ask: AskCluster, instance: Instance, machine: KopsMachine | undefined): Promise<void> {
  const { id, address, zone, group, isControlPlane } = instance;
  if (machine !== undefined) {
    for (const pod of [...control, ...machine.pods]) {
      await mirror(ask, instance, pod);
      await report(ask, instance, pod, true);
    }
  }
  const role = isControlPlane ? "control-plane" : "node";
  await expect(
    ask("POST", "/api/v1/nodes", {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: id,
        labels: {
          "kubernetes.io/hostname": id,
          "topology.kubernetes.io/zone": zone,
          "kops.k8s.io/instancegroup": group,
          [`node-role.kubernetes.io/${role}`]: "",
        },
      },
      spec: { providerID: `aws:///${zone}/${id}` },
      status: {
        nodeInfo: nodeInfo(),
        addresses: [{ type: "InternalIP", address }],
        conditions: [{ ...ready(true), reason: "KubeletReady", message: "stand-in" }],
      },
    }),
  );
}

/** As the readiness probe has found the pod. */
export async function report(ask: AskCluster, { id, address }: Instance, pod: MachinePod, isReady: boolean) {
  const status = {
    phase: "Running",
    hostIP: address,
    hostIPs: [{ ip: address }],
    conditions: [ready(isReady)],
    containerStatuses: [
      {
        ...{ name: pod.name, ready: isReady, image: pod.image, imageID: "", restartCount: 0 },
        state: { running: {} },
      },
    ],
  };
  await expect(ask("PATCH", `${pods}/${pod.name}-${id}/status`, { status }, "application/merge-patch+json"));
}

/** As its kubelet would tell, or as would be noticed where it can't. */
export async function reportNode(ask: AskCluster, node: string, trouble: string | undefined): Promise<void> {
  const reason = trouble === undefined ? "KubeletReady" : "NodeStatusUnknown";
  const status = { conditions: [{ ...ready(trouble === undefined), reason, message: "stand-in" }] };
  await expect(ask("PATCH", `/api/v1/nodes/${node}/status`, { status }, "application/strategic-merge-patch+json"));
}

export function apiServerPodOf(): MachinePod {
  return control[0] as MachinePod;
}

/** A machine that is gone takes its pods with it. */
export async function leave(ask: AskCluster, node: string): Promise<void> {
  const { text } = await ask("GET", `/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`);
  const { items } = JSON.parse(text) as { items: { metadata: { namespace: string; name: string } }[] };
  for (const { metadata } of items) {
    const path = `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}?gracePeriodSeconds=0`;
    await expect(ask("DELETE", path));
  }
  await expect(ask("DELETE", `/api/v1/nodes/${node}`));
}

export async function nodeNames(ask: AskCluster): Promise<readonly string[]> {
  const { text } = await ask("GET", "/api/v1/nodes");
  const { items = [] } = JSON.parse(text) as { items?: { metadata: { name: string } }[] };
  return items.map(({ metadata }) => metadata.name);
}

async function mirror(ask: AskCluster, { id }: Instance, pod: MachinePod): Promise<void> {
  await expect(
    ask("POST", pods, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `${pod.name}-${id}`,
        labels: pod.labels,
        annotations: { "kubernetes.io/config.mirror": "stand-in" }, // so that a drain leaves it
      },
      spec: {
        nodeName: id,
        ...(pod.priorityClassName !== undefined && { priorityClassName: pod.priorityClassName }),
        containers: [{ name: pod.name, image: pod.image }],
      },
    }),
  );
}

/** There already, and gone already, are fine. */
async function expect(asked: Promise<MachineAnswer>): Promise<void> {
  const { status, text } = await asked;
  if (status >= 300 && status !== 404 && status !== 409) throw new Error(`${status}: ${text.slice(0, 300)}`);
}

function ready(isReady: boolean) {
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+Z$/, "Z");
  return { type: "Ready", status: isReady ? "True" : "False", lastTransitionTime };
}

function nodeInfo(): Readonly<Record<string, string>> {
  const empty = ["machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion"];
  const more = ["kubeProxyVersion", "operatingSystem", "architecture"];
  return { ...Object.fromEntries([...empty, ...more].map((name) => [name, ""])), kubeletVersion: version };
}
