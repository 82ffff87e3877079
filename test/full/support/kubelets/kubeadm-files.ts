/** What kubeadm lays out on control-plane hosts with an etcd member each: certificates, kubeconfigs, static pods. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { stringify } from "yaml";
import type { Machine } from "./machine";
import { addressOf } from "./machine-network";

export interface KubeadmOptions {
  readonly kubeadm: string;
  readonly kubernetesVersion: string;
  readonly etcdVersion: string;
  readonly imageRepository: string;
}

/** What all hosts of a cluster have from the first one. */
const shared = ["ca", "front-proxy-ca", "etcd/ca"].flatMap((name) => [`${name}.crt`, `${name}.key`]);
const serviceAccount = ["sa.key", "sa.pub"];

/** Everything but the manifest of the API server. */
export async function kubeadmFiles(machines: readonly Machine[], options: KubeadmOptions): Promise<void> {
  const [first] = machines;
  for (const [index, machine] of machines.entries()) {
    const pki = machine.outside("/etc/kubernetes/pki");
    if (first !== undefined && index > 0) {
      mkdirSync(`${pki}/etcd`, { recursive: true });
      for (const name of [...shared, ...serviceAccount])
        cpSync(`${first.outside("/etc/kubernetes/pki")}/${name}`, `${pki}/${name}`);
    }
    writeFileSync(machine.outside("/etc/kubernetes/kubeadm.yaml"), kubeadmConfig(machines, index, options));
    const phase = (...names: readonly string[]) =>
      machine.run(options.kubeadm, ["init", "phase", ...names, "--config=/etc/kubernetes/kubeadm.yaml"]);
    await phase("certs", "all");
    await phase("kubeconfig", "admin");
    await phase("kubeconfig", "super-admin");
    await phase("kubeconfig", "kubelet");
    await phase("etcd", "local");
  }
}

/** kubeadm's own manifest, as it is. */
export async function kubeadmApiServer(machine: Machine, { kubeadm }: KubeadmOptions): Promise<void> {
  await machine.run(kubeadm, ["init", "phase", "control-plane", "apiserver", "--config=/etc/kubernetes/kubeadm.yaml"]);
}

function kubeadmConfig(machines: readonly Machine[], index: number, options: KubeadmOptions): string {
  const apiVersion = "kubeadm.k8s.io/v1beta4";
  const name = machines[index]?.name;
  const initialCluster = machines.map((machine, at) => `${machine.name}=https://${addressOf(at)}:2380`).join(",");
  const documents = [
    {
      apiVersion,
      kind: "InitConfiguration",
      localAPIEndpoint: { advertiseAddress: addressOf(index), bindPort: 6443 },
      nodeRegistration: { name, criSocket: "unix:///run/containerd/containerd.sock" },
    },
    {
      apiVersion,
      kind: "ClusterConfiguration",
      kubernetesVersion: `v${options.kubernetesVersion}`,
      imageRepository: options.imageRepository,
      // Tests reach each host's API server through a tunnel.
      apiServer: { certSANs: ["127.0.0.1", "localhost"] },
      etcd: {
        local: {
          imageTag: options.etcdVersion,
          extraArgs: [
            { name: "initial-cluster", value: initialCluster },
            { name: "initial-cluster-state", value: "new" },
            { name: "unsafe-no-fsync", value: "true" },
          ],
        },
      },
    },
  ];
  return documents.map((document) => stringify(document)).join("---\n");
}
