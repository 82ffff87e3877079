/**
 * Control-plane hosts as kubeadm makes them, each a machine of its own with a real kubelet, containerd and runc, which run etcd, the
 * API server and the plugins as static pods; and how the engine is told of them, over SSH alone.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { reservePorts } from "../../../../control-plane/ports/port-reservations";
import type { LocalControlPlane } from "../../../../core/local-control-plane";
import type { PluginPodSettings } from "../../../../core/plugin-static-pod";
import { kubeadmLayout, type SelfManagedCluster } from "../../../../core/self-managed-cluster";
import { findTool } from "../../../../tools/find-tool";
import { administratorFiles, describeMachines, type HostPorts } from "./described-machines";
import { clusterImages, imageRepository, pauseImage } from "./images";
import { kubeadmApiServer, kubeadmFiles } from "./kubeadm-files";
import { type Machine, startMachine } from "./machine";
import { connectMachine, makeLan } from "./machine-network";
import { type MachineSsh, machineSsh } from "./machine-ssh";
import {
  importImage,
  removeAbandonedControlGroups,
  removeControlGroups,
  startContainerd,
  startKubelet,
} from "./node-programs";

export interface KubeletCluster {
  readonly machines: readonly Machine[];
  readonly ssh: readonly MachineSsh[];
  /** As the tests' clients and observers take it: everything by its place on this machine. */
  readonly controlPlane: LocalControlPlane;
  readonly described: SelfManagedCluster;
  request(host: number, method: "GET" | "POST" | "PUT", path: string, body?: unknown): Promise<Answer>;
  /** As the host's kubelet says, without asking an API server. */
  pods(host: number): Promise<readonly KubeletPod[]>;
  /** As when the host's power goes and comes back: its kubelet starts everything again. */
  reboot(host: number): Promise<void>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export interface KubeletPod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: { readonly hostNetwork?: boolean };
  readonly status: {
    readonly phase: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly {
      readonly restartCount: number;
      readonly ready: boolean;
      readonly state: {
        readonly running?: { readonly startedAt: string };
        readonly waiting?: { readonly reason: string };
      };
    }[];
  };
}

export interface KubeletClusterOptions {
  readonly hosts: number;
  /** Of the plugins, besides the image. */
  readonly plugin?: Partial<PluginPodSettings>;
  /** Ports of this machine that the plugins use. */
  readonly outward?: readonly number[];
  readonly report?: (line: string) => void;
}

export async function kubeletCluster(options: KubeletClusterOptions): Promise<KubeletCluster> {
  const { report = () => undefined } = options;
  const closing: (() => unknown)[] = [];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    const directory = mkdtempSync(join(tmpdir(), "kubelets-"));
    closing.push(() => rmSync(directory, { recursive: true, force: true }));
    const names = Array.from({ length: options.hosts }, (_, index) => `cp${index + 1}`);
    const tool = (name: "kubelet" | "kubeadm" | "etcd" | "kube-apiserver") => findTool(name, { report });
    const [kubelet, kubeadm, etcd, apiServer] = [
      await tool("kubelet"),
      await tool("kubeadm"),
      await tool("etcd"),
      await tool("kube-apiserver"),
    ];
    const { archives, plugin } = await clusterImages(join(directory, "images"), { etcd, apiServer });
    report("images are built");

    await removeAbandonedControlGroups();
    const controlGroup = (name: string) => `kms-etcd-${process.pid}-${name}`;
    for (const name of names) closing.push(() => removeControlGroups(controlGroup(name)));
    const start = async (name: string) => {
      const machine = await startMachine({ name, directory: join(directory, name) });
      closing.push(() => machine.powerOff());
      return machine;
    };
    const lan = await start("lan");
    await makeLan(lan);
    const machines = await Promise.all(names.map(start));
    const machineAt = (host: number) => machines[host] as Machine;
    const startPods = async (index: number) => {
      const machine = machineAt(index);
      await startKubelet(machine, { kubelet: kubelet.path, index, controlGroup: controlGroup(machine.name) });
    };
    for (const [index, machine] of machines.entries()) {
      await connectMachine(lan, machine, index);
      await startContainerd(machine, pauseImage);
    }
    await Promise.all(
      machines.map(async (machine) => {
        for (const archive of archives) await importImage(machine, archive);
      }),
    );
    report("images are on the machines");

    const files = {
      kubeadm: kubeadm.path,
      kubernetesVersion: apiServer.version,
      etcdVersion: etcd.version,
      imageRepository,
    };
    await kubeadmFiles(machines, files);
    const reserved = await reservePorts(
      directory,
      machines.flatMap(() => [undefined, undefined, undefined]),
    );
    const portsOf = (index: number): HostPorts => {
      const [api = 0, etcdPort = 0, kubeletPort = 0] = reserved.slice(3 * index);
      return { api, etcd: etcdPort, kubelet: kubeletPort };
    };
    const ssh: MachineSsh[] = [];
    const userKey = join(directory, "user");
    for (const [index, machine] of machines.entries()) {
      await kubeadmApiServer(machine, files);
      await startPods(index);
      const ports = portsOf(index);
      const server = await machineSsh(machine, join(directory, "ssh", machine.name), userKey, {
        inward: [
          [ports.api, 6443],
          [ports.etcd, 2379],
          [ports.kubelet, 10250],
        ],
        outward: options.outward ?? [],
      });
      closing.push(() => server.close());
      await server.openTunnel();
      ssh.push(server);
    }
    report("kubelets run");

    const administrator = administratorFiles(machineAt(0), directory);
    const controlPlane = describeMachines(machines, { directory, administrator, portsOf, version: apiServer.version });
    const [ca, cert, key] = [administrator.caFile, administrator.certFile, administrator.keyFile].map((file) =>
      readFileSync(file),
    );
    const pools = controlPlane.hosts.map(({ apiServerUrl }) => new Pool(apiServerUrl, { connect: { ca, cert, key } }));
    // A kubelet's certificate is signed by nobody but itself.
    const kubelets = machines.map(
      (_, index) =>
        new Pool(`https://127.0.0.1:${portsOf(index).kubelet}`, { connect: { rejectUnauthorized: false, cert, key } }),
    );
    closing.push(() => Promise.all([...pools, ...kubelets].map((pool) => pool.destroy())));

    const request: KubeletCluster["request"] = async (host, method, path, body) => {
      const json =
        body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
      const answer = await (pools[host] as Pool).request({ method, path, ...json });
      return { status: answer.statusCode, text: await answer.body.text() };
    };
    for (const host of machines.keys()) {
      while ((await request(host, "GET", "/readyz").catch(() => undefined))?.status !== 200) await delay(500);
    }
    await bindAdministrators(request);
    report("API servers are ready");
    return {
      machines,
      ssh,
      controlPlane,
      described: {
        hosts: machines.map(({ name }, index) => {
          const port = ssh[index]?.port ?? 0;
          return { name, address: "127.0.0.1", port, layout: kubeadmLayout };
        }),
        ssh: {
          user: "root",
          privateKey: readFileSync(userKey, "utf8"),
          knownHosts: ssh.map(({ knownHosts }) => knownHosts).join(""),
          sudo: false,
        },
        kubernetes: { adminConfFile: "/etc/kubernetes/admin.conf" },
        plugin: { image: plugin, ...options.plugin },
      },
      request,
      async pods(host) {
        const answer = await (kubelets[host] as Pool).request({ method: "GET", path: "/pods" });
        return ((await answer.body.json()) as { items: readonly KubeletPod[] | null }).items ?? [];
      },
      async reboot(host) {
        const machine = machineAt(host);
        await machine.powerOff();
        await machine.powerOn();
        await connectMachine(lan, machine, host);
        await startContainerd(machine, pauseImage);
        await startPods(host);
        await ssh[host]?.openTunnel();
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** As `kubeadm init` does: without it kubeadm's admin.conf may do nothing. */
async function bindAdministrators(request: KubeletCluster["request"]): Promise<void> {
  const { status, text } = await request(0, "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "kubeadm:cluster-admins" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "Group", name: "kubeadm:cluster-admins" }],
  });
  if (status !== 201) throw new Error(`administrators are not bound: ${status} ${text}`);
}
