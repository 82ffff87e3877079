/** The hosts of a real control plane behind real OpenSSH servers, one a host, and the engine that knows them over SSH alone. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { reservePorts } from "../../../control-plane/ports/port-reservations";
import { stateLayout } from "../../../control-plane/state-layout";
import type { PluginInstance } from "../../../core/plugin-instance";
import { kubeadmLayout, type SelfManagedCluster, type SelfManagedPlugin } from "../../../core/self-managed-cluster";
import { openSelfManagedCluster } from "../../../rotation/adapters/hosts/open-self-managed-cluster";
import { type Cluster, closeCluster } from "../../../rotation/cluster";
import type { Goal } from "../../../rotation/goal";
import { type RotationOutcome, runRotation } from "../../../rotation/run";
import type { RotationEvent } from "../../../rotation/run-events";
import { type CuttableWay, cuttableWay } from "../../support/cuttable-way";
import { type SshServer, startSshServer } from "../../support/ssh-server";
import type { RealCluster } from "./real-cluster";

export interface SshCluster {
  readonly cluster: RealCluster;
  readonly servers: readonly SshServer[];
  /** Every connection to a host goes along its own. */
  readonly ways: readonly CuttableWay[];
  readonly described: SelfManagedCluster;
  /** The encryption configuration that the engine keeps on a host. */
  configFile(host: number): string;
  manifestFile(host: number, name?: string): string;
  open(change?: Partial<SelfManagedCluster>): Promise<Cluster>;
  rotate(
    writer: PluginInstance | "identity",
    more?: Partial<Goal>,
    run?: {
      readonly change?: Partial<SelfManagedCluster>;
      readonly onEvent?: (event: RotationEvent) => void;
      readonly signal?: AbortSignal;
    },
  ): Promise<RotationOutcome>;
  close(): Promise<void>;
}

export interface SshClusterOptions {
  readonly plugin?: Partial<SelfManagedPlugin>;
  readonly sudo?: boolean;
  /** Machines in which systemd runs the API servers, in the hosts' order: what to put in front of a command that shall run there. */
  readonly units?: { readonly apiServerUnit: string; readonly behind: readonly (() => readonly string[])[] };
  /** Flags that keep plugins from taking ports, which these hosts share. @default those for keys in Azure */
  readonly noPorts?: readonly string[];
}

/**
 * What a host has that never heard of encryption: its manifest without the flags. Restarts one server after the other.
 * `onlyConfig`: the flag for automatic reload stays as it is.
 */
export async function withoutEncryption(cluster: RealCluster, onlyConfig = false): Promise<void> {
  const flag = onlyConfig ? "--encryption-provider-config=" : "--encryption-provider-config";
  for (const [index, host] of cluster.controlPlane.hosts.entries()) {
    const file = join(host.manifestDirectory, host.apiServerManifest);
    const before = cluster.pid(host.name, "kube-apiserver");
    const lines = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, lines.filter((line) => !line.includes(flag)).join("\n"));
    rmSync(host.encryptionConfigFile);
    for (;;) {
      await delay(200);
      const ready = await cluster.request(index, "GET", "/readyz").catch(() => undefined);
      const pid = cluster.pid(host.name, "kube-apiserver");
      if (ready?.status === 200 && pid !== undefined && pid !== before) break;
    }
  }
}

export async function sshCluster(cluster: RealCluster, options: SshClusterOptions = {}): Promise<SshCluster> {
  const directory = mkdtempSync(join(tmpdir(), "ks-"));
  const { hosts, pluginCommand, stateDirectory } = cluster.controlPlane;
  const { units } = options;
  const ports = await reservePorts(
    directory,
    hosts.map(() => undefined),
  );
  const servers: SshServer[] = [];
  for (const [index, host] of hosts.entries()) {
    const behind = units?.behind[index];
    const at = {
      directory: join(directory, host.name),
      port: ports[index] ?? 0,
      ...(behind && { as: { user: userInfo().username, behind } }),
    };
    servers.push(await startSshServer({ ...at, ...(options.sudo && { sudo: "works" as const }) }));
  }
  const ways = await Promise.all(servers.map((server) => cuttableWay(server.port)));
  // Each server makes a user key of its own: all hosts take the first one's.
  const [first] = servers;
  for (const host of hosts) {
    writeFileSync(
      join(directory, host.name, "authorized_keys"),
      readFileSync(join(directory, hosts[0]?.name ?? "", "user.pub")),
    );
  }
  const configFile = (index: number) =>
    join(stateDirectory, "hosts", hosts[index]?.name ?? "", "kms-etcd", "encryption-config.yaml");
  const described: SelfManagedCluster = {
    hosts: hosts.map((host, index) => ({
      name: host.name,
      address: "127.0.0.1",
      port: ways[index]?.port ?? 0,
      layout: {
        manifestDirectory: host.manifestDirectory,
        apiServerManifest: host.apiServerManifest,
        encryptionConfigFile: configFile(index),
        pluginSocketDirectory: units === undefined ? host.pluginSocketDirectory : kubeadmLayout.pluginSocketDirectory,
        backupDirectory: host.backupDirectory,
        ...(units && { apiServerUnit: units.apiServerUnit }),
      },
    })),
    ssh: {
      user: first?.user ?? "",
      privateKey: first?.privateKey ?? "",
      knownHosts: servers
        .map((server, index) => `[127.0.0.1]:${ways[index]?.port} ${server.hostKeys["ed25519"]}\n`)
        .join(""),
      sudo: options.sudo === true,
    },
    kubernetes: { adminConfFile: stateLayout(stateDirectory).kubeconfigFile },
    plugin: {
      ...(units === undefined
        ? { image: `registry.example/kms-etcd-plugin@sha256:${"0".repeat(64)}`, command: pluginCommand }
        : { program: pluginCommand }),
      ...options.plugin,
      // These hosts share one network, which control-plane hosts do not.
      arguments: [
        ...(options.noPorts ?? ["--healthz-port=0", "--metrics-addr=0"]),
        ...(options.plugin?.arguments ?? []),
      ],
    },
  };

  const open = (change: Partial<SelfManagedCluster> = {}) => openSelfManagedCluster({ ...described, ...change });
  return {
    cluster,
    servers,
    ways,
    described,
    configFile,
    manifestFile: (index, name = hosts[index]?.apiServerManifest ?? "") =>
      join(hosts[index]?.manifestDirectory ?? "", name),
    open,
    async rotate(writer, more = {}, run = {}) {
      const opened = await open(run.change);
      const began = Date.now();
      try {
        return await runRotation({
          goal: {
            ...cluster.goal("identity"),
            writer,
            declared: writer === "identity" ? cluster.goal("identity").declared : [writer],
            servers: opened.servers,
            ...more,
          },
          fleet: opened.fleet,
          stored: opened.stored,
          onEvent: (event) => {
            run.onEvent?.(event);
            if (event.kind !== "progress") {
              const seconds = Math.round((event.at - began) / 100) / 10;
              cluster.log.push(`${seconds} s ${event.stage} ${event.kind}: ${event.message}`);
            }
          },
          signal: run.signal ?? new AbortController().signal,
        });
      } finally {
        await closeCluster(opened);
      }
    },
    async close() {
      await Promise.all(ways.map((way) => way.close()));
      await Promise.all(servers.map((server) => server.stop()));
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
