/**
 * The Fleet port for control planes whose hosts we can reach: static pod manifests, encryption configuration files and plugin
 * sockets, through the small Host port. The machine itself is one such host (local-host.ts); the one over SSH is another.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import type { Fleet } from "../../fleet";
import type { AwsKeyNames } from "../aws/aws-key-names";
import { lazyAwsKeyAdmin } from "../aws/lazy-key-admin";
import { withDeadline } from "../deadline";
import { apiClient } from "../kubernetes/api-client";
import { isSameProcess } from "./api-server-manifest";
import { askApiServer } from "./api-server-status";
import { probeCrosswise } from "./crosswise-probe";
import { type EndpointMap, endpointMap } from "./endpoint-map";
import type { FleetHost } from "./fleet-host";
import {
  confirmHostConfig,
  requestRestart,
  restoreHostConfig,
  startHostPlugin,
  stopHostPlugin,
  writeHostConfig,
} from "./host-actions";
import { type LockSettings, withHostLock } from "./host-lock";
import { setUpHost } from "./host-setup";
import { aliasResolver } from "./key-aliases";
import { confirmNamedKeys, nameHostKeysByArn, restoreNamedKeys } from "./named-keys";
import { type HostMemory, type HostObservation, observeHost } from "./observe-host";
import { compareWithList, identityLeases } from "./server-discovery";
import { removeSetUpRecord } from "./set-up-record";
import { undoSetUp } from "./undo-set-up";

export interface HostsFleetOptions {
  readonly hosts: readonly FleetHost[];
  /** Directory of plugin sockets in the configurations that the engine sees. @default /run/kms-etcd */
  readonly endpointDirectory?: string;
  /** How long one look at one host may take, in milliseconds. @default 5_000 */
  readonly observeTimeout?: number;
  /** How long a crosswise probe may take, in milliseconds. @default 30_000 */
  readonly probeTimeout?: number;
  readonly lock?: LockSettings;
  /** Says which keys stand behind aliases of plugins that others have set up. @default AWS KMS, with the credentials of whoever runs the engine */
  readonly keyNames?: () => AwsKeyNames;
}

const usualKeyNames = lazyAwsKeyAdmin();

export interface HostsFleet extends Fleet {
  /** The configuration behind a hash that was seen on disk or as loaded, by this fleet. */
  configOf(hash: string): EncryptionConfiguration | undefined;
}

/** Connects when first used. */
export function createHostsFleet(options: HostsFleetOptions): HostsFleet {
  const { hosts, endpointDirectory = "/run/kms-etcd", observeTimeout = 5_000, probeTimeout = 30_000, lock } = options;
  const resolve = aliasResolver(options.keyNames ?? usualKeyNames);
  const members = hosts.map((at) => ({
    at,
    client: apiClient(at.apiServer),
    endpoints: endpointMap(endpointDirectory, at.pluginSocketDirectory),
  }));
  const idHashes = new Map<string, string>();
  const configs = new Map<string, EncryptionConfiguration>();
  const provenSetUps = new Set<string>();
  const provenKeys = new Set<string>();
  const memory = hostMemory(idHashes, configs, provenSetUps, provenKeys);

  function member(server: string) {
    const found = members.find(({ at }) => at.host.name === server);
    if (found !== undefined) return found;
    throw new KmsEtcdError(
      "invalid-input",
      `${server} is not one of ${members.map(({ at }) => at.host.name).join(", ")}`,
    );
  }

  /** One engine at a time changes a host. */
  function change(server: string, action: (at: FleetHost, endpoints: EndpointMap) => Promise<void>): Promise<void> {
    const { at, endpoints } = member(server);
    const work = async () => {
      // Before anything else is changed: what comes after must not be taken for the set-up's doing.
      if (provenSetUps.has(server)) await removeSetUpRecord(at);
      provenSetUps.delete(server);
      if (provenKeys.has(server)) await confirmNamedKeys(at);
      provenKeys.delete(server);
      await action(at, endpoints);
    };
    return withHostLock(at.host, at.backupDirectory, work, lock);
  }

  async function ask(server: string) {
    const { client } = member(server);
    const status = await withDeadline(new AbortController().signal, observeTimeout, (limited) =>
      askApiServer(client, limited),
    );
    if (status.unreachable !== undefined) return { runningSince: undefined, version: "" };
    return { runningSince: status.processStartedAt, version: status.version };
  }

  async function observe(signal: AbortSignal, declared: readonly PluginInstance[] = []) {
    const clients = members.map(({ client }) => client);
    const [servers, leases] = await withDeadline(signal, observeTimeout, (limited) =>
      Promise.all([
        Promise.all(
          members.map(({ at, client, endpoints }) => observeHost({ at, client, endpoints, memory, declared }, limited)),
        ),
        identityLeases(clients, limited).catch((problem: unknown) => ({ problem })),
      ]),
    );
    const listed = servers.map(({ name }) => ({ name, idHash: idHashes.get(name) }));
    // Only who plans or rotates needs to know which keys they are.
    const named =
      declared.length === 0 ? servers : await Promise.all(servers.map((server) => withArns(server, signal)));
    return { servers: named, ...compareWithList(listed, leases) };
  }

  async function withArns(server: HostObservation, signal: AbortSignal): Promise<HostObservation> {
    if (server.plugins.every(({ aliases }) => aliases === undefined)) return server;
    const plugins = server.plugins.map(async ({ aliases, ...plugin }) => ({
      ...plugin,
      ...(aliases && { aliases: await Promise.all(aliases.map((alias) => resolve(alias, signal))) }),
    }));
    return { ...server, plugins: await Promise.all(plugins) };
  }

  return {
    observe,
    endpoint: (plugin) => `unix://${endpointDirectory}/${plugin.socketFile}`,
    probeCrosswise: (plugin, servers, signal) => {
      const probed = servers.map((server) => {
        const { at } = member(server);
        return { host: at.host, socketPath: `${at.pluginSocketDirectory}/${plugin.socketFile}` };
      });
      return withDeadline(signal, probeTimeout, (limited) => probeCrosswise(plugin.name, probed, limited));
    },
    startPlugin: (server, plugin) => change(server, (at) => startHostPlugin(at, plugin)),
    stopPlugin: (server, plugin) => change(server, (at) => stopHostPlugin(at, plugin)),
    nameKeysByArn: (server, plugin, arns) => change(server, (at) => nameHostKeysByArn(at, plugin, arns)),
    restorePlugin: (server) => change(server, (at) => restoreNamedKeys(at)),
    writeConfig: ({ server, expectedHash, config, loadedHash }) =>
      change(server, (at, endpoints) => writeHostConfig(at, expectedHash, endpoints.toHost(config), loadedHash)),
    restoreConfig: (server, expectedHash, loadedHash) =>
      change(server, (at) => restoreHostConfig(at, expectedHash, loadedHash)),
    confirmLoaded: (server, hash) => change(server, (at) => confirmHostConfig(at, hash)),
    restart: async (server) => {
      const { runningSince } = await ask(server);
      await change(server, (at) => requestRestart(at, runningSince));
    },
    setUp: async (server) => {
      const { runningSince, version } = await ask(server);
      await change(server, (at) => setUpHost(at, version, runningSince));
    },
    undoSetUp: (server) => change(server, (at) => undoSetUp(at)),
    configOf: (hash) => configs.get(hash),
    close: async () => {
      await Promise.all(members.map(({ client }) => client.close()));
      await Promise.all(members.map(({ at }) => at.host.close()));
    },
  };
}

function hostMemory(
  idHashes: Map<string, string>,
  configs: Map<string, EncryptionConfiguration>,
  provenSetUps: Set<string>,
  provenKeys: Set<string>,
): HostMemory {
  const starts = new Map<string, number>();
  return {
    steadyStart: (server, processStartedAt) => {
      const known = starts.get(server);
      if (known !== undefined && isSameProcess(known, processStartedAt)) return known;
      starts.set(server, processStartedAt);
      return processStartedAt;
    },
    identify: (server, idHash) => {
      if (idHash !== undefined) idHashes.set(server, idHash);
    },
    remember: (hash, config) => {
      configs.set(hash, config);
    },
    setUpSeen: (server, isWell) => seen(provenSetUps, server, isWell),
    namedKeysSeen: (server, isProven) => seen(provenKeys, server, isProven),
  };
}

/** What was seen well once is not taken back by this engine, whatever comes after; until that is confirmed it is spoken of. */
function seen(proven: Set<string>, server: string, isWell: boolean): boolean {
  if (isWell) proven.add(server);
  return isWell || !proven.has(server);
}
