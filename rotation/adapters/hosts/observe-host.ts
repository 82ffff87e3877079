/** One control-plane host as it is now: its API server, its files and its plugins. */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import type { FleetObservation } from "../../fleet";
import type { ConfigFile, KeptConfig } from "../../observation";
import type { ApiClient } from "../kubernetes/api-client";
import type { ApiServerDefinition } from "./api-server-definition";
import { apiServerFlags, isPending, restartRequest } from "./api-server-manifest";
import { type ApiServerStatus, askApiServer } from "./api-server-status";
import { readBackup } from "./config-backups";
import { parseEncryptionConfig } from "./encryption-config-file";
import type { EndpointMap } from "./endpoint-map";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { configInUse, hostSetUpNeed, missingKmsV1Gate, plaintextConfigText, runsFromBefore } from "./host-setup";
import { loadedEvidence, namesLoadedHash, reloadsVisibly } from "./loaded-config";
import { observePlugins } from "./observe-plugins";
import { apiServerDefinition, noDefinition } from "./read-api-server";
import { isInPlace, presentHash, readSetUpRecord } from "./set-up-record";
import { fallbackHash, readWrittenRecord } from "./written-record";

export type HostObservation = FleetObservation["servers"][number];

/** What a fleet knows from one look to the next. */
export interface HostMemory {
  /** Keeps a process start from wavering: it is computed from the boot time, which the kernel corrects now and then. */
  steadyStart(server: string, processStartedAt: number): number;
  /** Remembers whose Lease is whose, also while the server is away. */
  identify(server: string, idHash: string | undefined): void;
  /** Remembers what a hash stands for. */
  remember(hash: string, config: EncryptionConfiguration): void;
  /** A plugin has ARNs in the place of aliases. Whether that is still to be confirmed, or taken back. */
  namedKeysSeen(server: string, isProven: boolean): boolean;
  /** The server has a set-up that its host's record speaks of. Whether that is still to be confirmed, or undone. */
  setUpSeen(server: string, isWell: boolean): boolean;
}

/** A restart that was asked for longer ago than this has nothing to do with why a server does not answer now. */
const restartsAreFreshFor = 600_000;

export interface HostLook {
  readonly at: FleetHost;
  readonly client: ApiClient;
  readonly endpoints: EndpointMap;
  readonly memory: HostMemory;
  /** Plugins whose settings are compared with those that are wanted. */
  readonly declared: readonly PluginInstance[];
}

/** Does not throw: what can't be seen is `unreachable`, with the reason. `signal` bounds it. */
export async function observeHost(it: HostLook, signal: AbortSignal): Promise<HostObservation> {
  const name = it.at.host.name;
  try {
    return await within(signal, look(it, signal));
  } catch (thrown) {
    return { ...unseen(name), unreachable: describeError(thrown) };
  }
}

async function look(it: HostLook, signal: AbortSignal): Promise<HostObservation> {
  const { at, client, endpoints, memory } = it;
  const { host } = at;
  const [status, definition, written, record, ahead] = await Promise.all([
    askApiServer(client, signal),
    apiServerDefinition(at),
    readWrittenRecord(host, at.backupDirectory),
    at.mayBeSetUp === true ? readSetUpRecord(at) : undefined,
    host.clockAhead?.() ?? 0,
  ]);
  const manifest = definition?.manifest;
  const mayBeSetUp = at.mayBeSetUp === true && definition !== undefined;
  const version = status.unreachable === undefined ? status.version : "";
  const since = status.unreachable === undefined ? status.processStartedAt : undefined;
  const isSetUp = mayBeSetUp && isInPlace(record, presentHash(definition.bytes));
  // Its process from before the set-up proves nothing.
  const isWell = isReady(status) && definition !== undefined && !runsFromBefore(definition, since);
  const setUpUnproven = isSetUp && memory.setUpSeen(host.name, isWell);
  const mayComeBack = setUpUnproven && !isWell;
  const setUp = mayBeSetUp ? await hostSetUpNeed(at, definition, version, since, mayComeBack) : undefined;
  const inUse = mayBeSetUp ? configInUse(at, definition.manifest) : at.encryptionConfigFile;
  const found = inUse === undefined ? withoutEncryption(definition) : await readConfigFile(at, inUse);
  // Only servers that name no hash are judged by it; their file has been read before, so it can only seem too young.
  const asksTime = inUse !== undefined && found?.config !== undefined && version !== "" && !namesLoadedHash(version);
  const changedAt = asksTime ? await host.changedAt?.(inUse) : undefined;
  // Without a manifest no API server will run for long, but the host's files and plugins are still there to be seen.
  const stopped = definition === undefined ? noDefinition(at) : undefined;
  const flags = manifest && apiServerFlags(manifest);
  // A server that reads another file, or none, would seem to have loaded ours: nothing is known of it.
  const reads = flags?.encryptionConfigFile;
  const elsewhere =
    mayBeSetUp || flags === undefined || reads === at.encryptionConfigFile
      ? undefined
      : `its manifest has ${reads === undefined ? "no --encryption-provider-config" : `--encryption-provider-config=${reads}`}, not ${at.encryptionConfigFile}`;
  const hostConfig = found?.config;
  const file: ConfigFile | undefined = found?.config && {
    hash: found.hash,
    config: endpoints.toModel(found.config),
    writtenAt: found.writtenAt - ahead,
  };
  if (file !== undefined) memory.remember(file.hash, file.config);
  const fallback = await keptConfig(at, endpoints, fallbackHash(written, found?.hash));
  const runningSince =
    status.unreachable === undefined ? memory.steadyStart(host.name, status.processStartedAt) : undefined;
  const request = manifest && restartRequest(manifest);
  const askedAt = definition?.writtenAt ?? 0;
  const pending =
    request !== undefined &&
    isPending(request, found?.hash, runningSince) &&
    (runningSince !== undefined
      ? definition?.restarting !== false
      : Date.now() + ahead - askedAt < restartsAreFreshFor);
  const common = {
    ...unseen(host.name),
    file,
    ...(found?.problem !== undefined && { fileProblem: { reason: found.problem, hash: found.hash } }),
    ...(fallback && { fallback }),
    ...(flags && { requestTimeout: flags.requestTimeout }),
    ...(setUp && { setUp }),
    ...(setUpUnproven && { setUpUnproven }),
    restartRequestedAt: pending ? askedAt - ahead : undefined,
  };
  if (
    flags === undefined ||
    elsewhere !== undefined ||
    status.unreachable !== undefined ||
    runningSince === undefined
  ) {
    const plugins = await pluginsOf(it, [hostConfig], ahead, signal);
    const gate = manifest && hostConfig && missingKmsV1Gate(manifest, hostConfig);
    const away = [status.unreachable, definition?.trouble, gate?.reason]
      .filter((reason) => reason !== undefined)
      .join("; ");
    // Setting it up would not make it start.
    const need = setUp && gate && { setUp: { ...setUp, ...gate } };
    return { ...common, ...need, ...plugins, unreachable: stopped ?? elsewhere ?? away };
  }
  memory.identify(host.name, status.metrics.apiServerIdHash);
  const reload = reloadsVisibly(status.version, flags.automaticReload) ? ("hot" as const) : ("restart" as const);
  const seen = loadedEvidence({
    metrics: status.metrics,
    namesItsHash: namesLoadedHash(status.version),
    processStartedAt: runningSince,
    reload,
    requestTimeout: flags.requestTimeout,
    now: Date.now() + ahead,
    // By the host's clock, like everything that its API server says.
    file: file &&
      found?.config && {
        ...file,
        writtenAt: Math.max(changedAt ?? 0, found.writtenAt),
        byItself: asksTime && changedAt === undefined,
      },
  });
  const evidence = withoutFlag(inUse, seen, file);
  const loadedHostConfig =
    evidence.hash === undefined || evidence.hash === file?.hash ? hostConfig : await kept(at, evidence.hash);
  const loadedConfig =
    evidence.hash === undefined || loadedHostConfig === undefined ? undefined : endpoints.toModel(loadedHostConfig);
  if (evidence.hash !== undefined && loadedConfig !== undefined) memory.remember(evidence.hash, loadedConfig);
  return {
    ...common,
    unreachable: undefined,
    notReady: status.notReady,
    version: status.version,
    reload,
    processStartedAt: runningSince - ahead,
    loaded: { ...evidence, since: evidence.since - ahead, config: loadedConfig },
    ...(await pluginsOf(it, [hostConfig, loadedHostConfig], ahead, signal)),
    heardKeyIds: status.metrics.heardKeyIds.map((heard) => ({
      ...heard,
      since: heard.since === 0 ? 0 : heard.since - ahead,
    })),
  };
}

function isReady(status: ApiServerStatus): boolean {
  return status.unreachable === undefined && status.notReady === undefined;
}

type FoundFile =
  | {
      readonly hash: string;
      readonly config: EncryptionConfiguration;
      readonly problem?: never;
      readonly writtenAt: number;
    }
  | { readonly hash: string | undefined; readonly config?: never; readonly problem: string };

/**
 * A server that is told of no configuration does what one does that has plaintext alone, which is the file that it gets when it
 * is set up.
 */
function withoutEncryption(definition: ApiServerDefinition | undefined): FoundFile {
  const config = parseEncryptionConfig(plaintextConfigText);
  return { hash: fileHash(Buffer.from(plaintextConfigText)), config, writtenAt: definition?.modifiedAt ?? 0 };
}

/** The same for what it has loaded: a server that says nothing of a file, in a process from after the manifest, has none. */
function withoutFlag(
  inUse: string | undefined,
  seen: ReturnType<typeof loadedEvidence>,
  file: ConfigFile | undefined,
): ReturnType<typeof loadedEvidence> {
  if (inUse !== undefined || file === undefined || (seen.hash !== undefined && seen.hash !== file.hash)) return seen;
  return { ...seen, hash: file.hash, basis: "its manifest has no --encryption-provider-config" };
}

/** Undefined where there is none. Throws where the host cannot be reached, which says nothing about the file. */
async function readConfigFile({ host }: FleetHost, path: string): Promise<FoundFile | undefined> {
  try {
    const present = await host.readFile(path);
    if (present === undefined) return undefined;
    const hash = fileHash(present.bytes);
    try {
      return { hash, config: parseEncryptionConfig(present.bytes.toString("utf8")), writtenAt: present.modifiedAt };
    } catch (thrown) {
      return { hash, problem: `${path}: ${describeError(thrown)}` };
    }
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError) || thrown.code !== "permission-denied") throw thrown;
    return { hash: undefined, problem: describeError(thrown) };
  }
}

async function keptConfig(
  at: FleetHost,
  endpoints: EndpointMap,
  hash: string | undefined,
): Promise<KeptConfig | undefined> {
  const config = hash === undefined ? undefined : await kept(at, hash);
  return hash === undefined || config === undefined ? undefined : { hash, config: endpoints.toModel(config) };
}

/** A damaged or foreign backup is no configuration: then it is not known what the hash stands for. */
async function kept(at: FleetHost, hash: string): Promise<EncryptionConfiguration | undefined> {
  const bytes = await readBackup(at.host, at.backupDirectory, hash);
  try {
    return bytes && parseEncryptionConfig(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
}

async function pluginsOf(
  { at, declared, endpoints, memory }: HostLook,
  known: readonly (EncryptionConfiguration | undefined)[],
  clockAhead: number,
  signal: AbortSignal,
): Promise<Pick<HostObservation, "plugins" | "idlePlugins">> {
  const configs = known.filter((config) => config !== undefined);
  const search = { ...at, socketDirectory: at.pluginSocketDirectory, configs, declared, clockAhead };
  const { plugins, idlePlugins } = await observePlugins(search, signal);
  // One manifest may start several, and goes back as a whole.
  const named = plugins.filter((plugin) => plugin.namedByArn !== undefined);
  const isProven = named.every((plugin) => plugin.namedByArn === "proven");
  const isOpen = named.length > 0 && memory.namedKeysSeen(at.host.name, isProven);
  return {
    plugins: plugins.map(({ namedByArn, ...plugin }) => ({
      ...plugin,
      ...(namedByArn !== undefined && isOpen && { namedByArn: isProven ? "proven" : "unproven" }),
      endpoint: endpoints.endpointToModel(plugin.endpoint),
    })),
    ...(idlePlugins.length > 0 && { idlePlugins }),
  };
}

function unseen(name: string): HostObservation {
  return {
    name,
    unreachable: undefined,
    notReady: undefined,
    version: "",
    reload: "restart",
    processStartedAt: 0,
    restartRequestedAt: undefined,
    requestTimeout: 60_000,
    file: undefined,
    loaded: { hash: undefined, config: undefined, since: 0, basis: "the server has not been seen", failures: 0 },
    plugins: [],
  };
}

/** A host whose files hang must not hang the look at the others. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new KmsEtcdError("timeout", "the host did not answer in time"));
    if (signal.aborted) late();
    signal.addEventListener("abort", late, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", late));
  });
}
