/** One control-plane host as it is now: its API server, its files and its plugins. */
import { join } from "node:path";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { FleetObservation } from "../../fleet";
import type { ConfigFile } from "../../observation";
import type { ApiClient } from "../kubernetes/api-client";
import { apiServerFlags, isPending, restartRequest } from "./api-server-manifest";
import { askApiServer } from "./api-server-status";
import { readBackup } from "./config-backups";
import { parseEncryptionConfig } from "./encryption-config-file";
import type { EndpointMap } from "./endpoint-map";
import { fileHash } from "./file-hash";
import type { FleetHost } from "./fleet-host";
import { loadedEvidence, namesLoadedHash, reloadsVisibly } from "./loaded-config";
import { parseManifest } from "./manifest";
import { observePlugins } from "./observe-plugins";

export type HostObservation = FleetObservation["servers"][number];

/** What a fleet knows from one look to the next. */
export interface HostMemory {
  /** Keeps a process start from wavering: it is computed from the boot time, which the kernel corrects now and then. */
  steadyStart(server: string, processStartedAt: number): number;
  /** Remembers whose Lease is whose, also while the server is away. */
  identify(server: string, idHash: string | undefined): void;
  /** Remembers what a hash stands for. */
  remember(hash: string, config: EncryptionConfiguration): void;
}

/** A restart that was asked for longer ago than this has nothing to do with why a server does not answer now. */
const restartsAreFreshFor = 600_000;

/** Does not throw: what can't be seen is `unreachable`, with the reason. `signal` bounds it. */
export async function observeHost(
  at: FleetHost,
  client: ApiClient,
  endpoints: EndpointMap,
  memory: HostMemory,
  signal: AbortSignal,
): Promise<HostObservation> {
  const name = at.host.name;
  try {
    return await within(signal, look(at, client, endpoints, memory, signal));
  } catch (thrown) {
    return { ...unseen(name), unreachable: describeError(thrown) };
  }
}

async function look(
  at: FleetHost,
  client: ApiClient,
  endpoints: EndpointMap,
  memory: HostMemory,
  signal: AbortSignal,
): Promise<HostObservation> {
  const { host } = at;
  const [status, present, manifestFile] = await Promise.all([
    askApiServer(client, signal),
    host.readFile(at.encryptionConfigFile),
    host.readFile(join(at.manifestDirectory, at.apiServerManifest)),
  ]);
  const manifest = manifestFile && parseManifest(manifestFile.bytes.toString("utf8"));
  // Without a manifest no API server will run for long, but the host's files and plugins are still there to be seen.
  const stopped =
    manifest === undefined ? `${at.manifestDirectory}/${at.apiServerManifest} is not there, or no Pod` : undefined;
  const flags = manifest && apiServerFlags(manifest);
  // A server that reads another file, or none, would seem to have loaded ours: nothing is known of it.
  const reads = flags?.encryptionConfigFile;
  const elsewhere =
    flags === undefined || reads === at.encryptionConfigFile
      ? undefined
      : `its manifest has ${reads === undefined ? "no --encryption-provider-config" : `--encryption-provider-config=${reads}`}, not ${at.encryptionConfigFile}`;
  let file: ConfigFile | undefined;
  let hostConfig: EncryptionConfiguration | undefined;
  if (present !== undefined) {
    try {
      hostConfig = parseEncryptionConfig(present.bytes.toString("utf8"));
    } catch (thrown) {
      throw new KmsEtcdError("corrupt", `${at.encryptionConfigFile}: ${describeError(thrown)}`);
    }
    const hash = fileHash(present.bytes);
    file = { hash, config: endpoints.toModel(hostConfig), writtenAt: present.modifiedAt };
    memory.remember(hash, file.config);
  }
  const runningSince =
    status.unreachable === undefined ? memory.steadyStart(host.name, status.processStartedAt) : undefined;
  const request = manifest && restartRequest(manifest);
  const askedAt = manifestFile?.modifiedAt ?? 0;
  const pending =
    request !== undefined &&
    isPending(request, file?.hash, runningSince) &&
    (runningSince !== undefined || Date.now() - askedAt < restartsAreFreshFor);
  const common = {
    ...unseen(host.name),
    file,
    ...(flags && { requestTimeout: flags.requestTimeout }),
    restartRequestedAt: pending ? askedAt : undefined,
  };
  if (
    flags === undefined ||
    elsewhere !== undefined ||
    status.unreachable !== undefined ||
    runningSince === undefined
  ) {
    const plugins = await pluginsOf(at, hostConfig, undefined, signal);
    return { ...common, plugins, unreachable: stopped ?? elsewhere ?? status.unreachable };
  }
  memory.identify(host.name, status.metrics.apiServerIdHash);
  const reload = reloadsVisibly(status.version, flags.automaticReload) ? ("hot" as const) : ("restart" as const);
  const evidence = loadedEvidence({
    metrics: status.metrics,
    namesItsHash: namesLoadedHash(status.version),
    processStartedAt: runningSince,
    reload,
    now: Date.now(),
    file,
  });
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
    processStartedAt: runningSince,
    loaded: { ...evidence, config: loadedConfig },
    plugins: await pluginsOf(at, hostConfig, loadedHostConfig, signal),
  };
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

function pluginsOf(
  at: FleetHost,
  file: EncryptionConfiguration | undefined,
  loaded: EncryptionConfiguration | undefined,
  signal: AbortSignal,
) {
  const { host, manifestDirectory, pluginSocketDirectory: socketDirectory } = at;
  const configs = [file, loaded].filter((config) => config !== undefined);
  return observePlugins({ host, manifestDirectory, socketDirectory, configs }, signal);
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
