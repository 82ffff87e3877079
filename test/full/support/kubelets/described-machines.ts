/** Machines as the tests' clients and observers of control planes take them. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { LocalControlPlane, TlsClientFiles } from "../../../../core/local-control-plane";
import { kubeadmLayout } from "../../../../core/self-managed-cluster";
import type { Machine } from "./machine";

/** On this machine, by the tunnels. */
export interface HostPorts {
  readonly api: number;
  readonly etcd: number;
  readonly kubelet: number;
}

export interface MachinesDescription {
  readonly directory: string;
  readonly version: string;
  readonly administrator: TlsClientFiles;
  readonly portsOf: (host: number) => HostPorts;
}

export function describeMachines(
  machines: readonly Machine[],
  { directory, version, administrator, portsOf }: MachinesDescription,
): LocalControlPlane {
  const pki = machines[0]?.outside("/etc/kubernetes/pki") ?? "";
  return {
    formatVersion: 1,
    name: "kubelets",
    stateDirectory: directory,
    kubernetesVersion: version,
    separateHostNames: true,
    etcd: {
      endpoints: machines.map((_, index) => `https://127.0.0.1:${portsOf(index).etcd}`),
      client: {
        caFile: `${pki}/etcd/ca.crt`,
        certFile: `${pki}/apiserver-etcd-client.crt`,
        keyFile: `${pki}/apiserver-etcd-client.key`,
      },
      prefix: "/registry",
    },
    hosts: machines.map((machine, index) => ({
      name: machine.name,
      apiServerUrl: `https://127.0.0.1:${portsOf(index).api}`,
      client: administrator,
      manifestDirectory: machine.outside(kubeadmLayout.manifestDirectory),
      apiServerManifest: kubeadmLayout.apiServerManifest,
      encryptionConfigFile: machine.outside(kubeadmLayout.encryptionConfigFile),
      pluginSocketDirectory: kubeadmLayout.pluginSocketDirectory,
      backupDirectory: machine.outside(kubeadmLayout.backupDirectory),
    })),
    pluginCommand: [],
  };
}

/** The parts of kubeadm's super-admin.conf, in files. */
export function administratorFiles(machine: Machine, directory: string): TlsClientFiles {
  const { users } = parse(readFileSync(machine.outside("/etc/kubernetes/super-admin.conf"), "utf8")) as {
    readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
  };
  const save = (name: string, field: string) => {
    const file = join(directory, name);
    writeFileSync(file, Buffer.from(users[0]?.user[field] ?? "", "base64"), { mode: 0o600 });
    return file;
  };
  return {
    caFile: machine.outside("/etc/kubernetes/pki/ca.crt"),
    certFile: save("administrator.crt", "client-certificate-data"),
    keyFile: save("administrator.key", "client-key-data"),
  };
}
