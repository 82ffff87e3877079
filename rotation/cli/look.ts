/** Looking at a cluster for the command line: it changes nothing, and says what it does once it takes long. */
import type { EncryptionConfiguration } from "../../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../../core/errors";
import { isOurProviderName } from "../../core/provider-name";
import { resourceBlock } from "../../core/resource-block";
import type { RotationStage } from "../../core/rotation-stage";
import { resourceWriter } from "../adapters/kubernetes/resource-writer";
import type { Cluster } from "../cluster";
import type { FleetObservation } from "../fleet";
import type { Goal } from "../goal";
import { serverStates } from "../proofs";
import type { Progress, StoredObjects } from "../stored-objects";
import { type ClusterStatus, clusterStatus, configOf } from "./cluster-status";
import type { Settings } from "./settings";
import { busy, type Terminal } from "./terminal";
import { UsageError } from "./usage-error";

/** What a look needs: the terminal for what takes long, and the signal that ends it. */
export interface LookContext {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
}

export async function lookAtStatus(
  { fleet, stored, alone }: Cluster,
  { platform, keys, resources = [] }: Settings,
  { terminal, signal }: LookContext,
): Promise<ClusterStatus> {
  const observed = await busy(terminal, () => "looking at the servers", fleet.observe(signal));
  throwIfAborted(signal);
  const engine = await alone?.lease.read(signal).catch((thrown: unknown) => ({ problem: describeError(thrown) }));
  const counting = counted(stored);
  const configs = observed.servers.flatMap((server) => configOf(server) ?? []);
  const named = new Set([
    ...resources,
    ...configs.flatMap((config) => config.blocks.flatMap((block) => block.resources)),
  ]);
  const targets = [...(named.size === 0 ? ["secrets"] : named)].map((resource) => ({
    resource,
    // Only a name for it: what is stored is counted, and nothing is proven.
    key: { provider: resourceWriter(configs[0] ?? { blocks: [] }, resource) },
  }));
  const states = serverStates(
    observed.servers.map((seen) => ({ ...seen, troubleSince: undefined, lastReadyHash: undefined })),
  );
  const measuring = counting.stored.count(targets, states, () => undefined, signal);
  const proof = await busy(terminal, counting.text, measuring).catch((thrown: unknown) => {
    throwIfAborted(signal);
    return { problem: describeError(thrown) };
  });
  return clusterStatus({
    cluster: platform.description,
    engine,
    observed,
    stored: proof,
    keys,
    endpoint: fleet.endpoint.bind(fleet),
  });
}

/** `stored` with what it has counted so far as a text. */
export function counted(stored: StoredObjects): { readonly stored: StoredObjects; readonly text: () => string } {
  let soFar = "";
  const noting = (onProgress: (progress: Progress) => void) => (progress: Progress) => {
    const of = progress.total === undefined ? "" : ` of ${progress.total}`;
    soFar = `: ${progress.done}${of} objects`;
    onProgress(progress);
  };
  return {
    stored: {
      ...stored,
      count: (targets, servers, onProgress, signal) => stored.count(targets, servers, noting(onProgress), signal),
    },
    text: () => `counting what is stored${soFar}`,
  };
}

/** What a command is to reach: a declared version, or `identity`. */
export interface Target {
  /** Undefined for plaintext. */
  readonly keyVersion: number | undefined;
  readonly goal: Goal;
}

/**
 * The goal of a command. Without a `wanted` version it is the declared key that every server encrypts with now. Without resources it is
 * what the engine encrypts already: leaving a resource out of a goal would decrypt it.
 */
export async function targetOf(
  cluster: Cluster,
  settings: Settings,
  wanted: number | undefined,
  advanceTo: RotationStage,
  { terminal, signal }: LookContext,
): Promise<Target> {
  const { keys, resources, allowPlaintextReads, rewriteBy, etcdSnapshot, limits } = settings;
  const seen =
    wanted !== undefined && resources !== undefined
      ? undefined
      : await busy(terminal, () => "looking at the servers", cluster.fleet.observe(signal));
  throwIfAborted(signal);
  const keyVersion = wanted ?? (seen && presentVersion(seen, settings, cluster));
  const key = keys.find(({ version }) => version === keyVersion);
  return {
    keyVersion: key?.version,
    goal: {
      resources: resources ?? managedResources(seen?.servers.flatMap((server) => configOf(server) ?? []) ?? []),
      writer: key?.plugin ?? "identity",
      declared: keys.map(({ plugin }) => plugin),
      allowPlaintextReads,
      rewriteBy,
      ...(etcdSnapshot && { etcdSnapshot }),
      advanceTo,
      servers: cluster.servers,
      limits,
    },
  };
}

/** Checked before anything is looked at. 0 stands for plaintext. */
export function parseTarget(text: string, { keys }: Settings): number {
  if (text === "identity") return 0;
  const key = keys.find(({ version }) => String(version) === text);
  if (key !== undefined) return key.version;
  const declared = keys.map(({ version }) => version).join(", ") || "none";
  const reason = `is ${JSON.stringify(text)}; write a declared key version (${declared}), or identity for plaintext`;
  throw new UsageError([{ path: "the target", reason }]);
}

/** Resources in blocks whose providers the engine has named; `secrets` where there is none. */
export function managedResources(configs: readonly EncryptionConfiguration[]): readonly string[] {
  const ours = configs
    .flatMap((config) => config.blocks)
    .filter((block) => block.providers.some((item) => item.kind === "kms" && isOurProviderName(item.name)))
    .flatMap((block) => block.resources);
  return ours.length === 0 ? ["secrets"] : [...new Set(ours)];
}

function presentVersion(seen: FleetObservation, settings: Settings, { fleet }: Cluster): number {
  const { keys, resources } = settings;
  const configs = seen.servers.flatMap((server) => configOf(server) ?? []);
  const versions = new Set(
    configs.flatMap((config) =>
      (resources ?? managedResources(configs)).map((resource) => {
        const writer = resourceBlock(config, resource)?.providers[0];
        if (writer === undefined || writer.kind === "identity") return 0;
        return keys.find(({ plugin }) => writer.kind === "kms" && fleet.endpoint(plugin) === writer.endpoint)?.version;
      }),
    ),
  );
  const [only] = versions;
  if (versions.size === 1 && only !== undefined) return only;
  throw new KmsEtcdError("invalid-input", "the servers do not all encrypt with one of the declared keys", {
    remedy: "name the key version that is meant, and declare it with --key or in the configuration file",
  });
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped; nothing was changed");
}
