/** What a rewrite would cost and meet, for a plan: per resource, who has a say, how long, and which objects will not go through. */
import type { EncryptionConfiguration } from "../core/encryption-configuration";
import { identityProvider } from "../core/write-key";
import type { Measurement, RewriteTarget } from "./decision";
import type { ObjectFailure, StoredProof, StoredResource } from "./observation";
import { staleObjects } from "./proofs";
import type { RewriteOutlook } from "./stored-objects";

export interface RewriteForecast {
  readonly resources: readonly ForecastResource[];
  readonly objectsPerSecond: number;
  /** What `objectsPerSecond` is made of. */
  readonly rateBasis: string;
  /** Objects that, encrypted, may be too long for one request to etcd. */
  readonly tooLarge: readonly { readonly object: string; readonly bytes: number }[];
  /** Objects that the API servers could not read just now. */
  readonly unreadable: readonly ObjectFailure[];
}

export interface ForecastResource {
  readonly resource: string;
  /** Stored, and of these with another key than they should have. */
  readonly objects: number;
  readonly stale: number;
  /** Undefined where they were counted through the API, which does not say. */
  readonly bytes: number | undefined;
  readonly mutatingWebhooks: readonly string[];
  readonly validatingWebhooks: readonly string[];
  readonly policies: readonly string[];
}

/** Calls of the API servers to their KMS plugins. Not counted: those of other writers, and of readers that miss a cache later. */
export interface KmsCalls {
  readonly status: number;
  readonly encrypt: number;
  readonly decrypt: number;
}

/** Where nothing was measured: docs/benchmarks.md has 140 (100 KiB each) to 720 (1 KiB) on two busy CPUs. */
const usualRate = 300;
/** A rewrite reads an object, writes it, and has it written by etcd: what one costs more than a read, at most (docs/benchmarks.md). */
const readsPerRewrite = 3;
const leastSample = 50;
/** etcd's default for --max-request-bytes, for one transaction: the key stands in it three times, beside some framing. */
const requestLimit = 1_572_864;
const keyRepeats = 3;
const framing = 128;
/** What KMS v2 adds besides names: nonces and tag, at most 1 KiB of encrypted data key, and annotations of the usual length. */
const kmsV2Overhead = 60 + 1_024 + 512;

export function rewriteForecast(
  stored: StoredProof,
  targets: readonly RewriteTarget[],
  outlook: RewriteOutlook | undefined,
): RewriteForecast {
  const entries = targets.flatMap((target) => {
    const entry = stored.resources.find(({ resource }) => resource === target.resource);
    return entry === undefined ? [] : [{ target, entry }];
  });
  const { objectsPerSecond, rateBasis } = rate(outlook);
  return {
    resources: entries.map(({ target, entry }) => forecastResource(stored, target, entry, outlook)),
    objectsPerSecond,
    rateBasis,
    tooLarge: entries.flatMap(({ target, entry }) =>
      (entry.large ?? []).flatMap(({ object, plainBytes, keyBytes }) => {
        const bytes = plainBytes + overheadOf(target) + keyRepeats * keyBytes + framing;
        return bytes > requestLimit ? [{ object, bytes }] : [];
      }),
    ),
    unreadable: outlook?.reads.failures ?? [],
  };
}

/** What one etcd member hands out over a network, and less than a scan reads on one machine (docs/benchmarks.md). */
const valuesPerSecond = 20_000;

/** How long a look at what is stored takes, in milliseconds. */
export function measuringTime(
  { kind }: Measurement,
  stored: StoredProof | undefined,
  servers: number,
  objectsPerSecond: number,
): number {
  const objects = (stored?.resources ?? []).reduce((sum, entry) => sum + entry.objects, 0);
  if (kind === "readThrough") return (objects * 1_000) / (objectsPerSecond * readsPerRewrite);
  if (kind !== "stored") return 0;
  if (stored?.method === "etcd") return (objects * 1_000) / valuesPerSecond;
  // Every object is offered to one server first, then to the others at once.
  return (objects * 1_000 * Math.min(servers, 2)) / objectsPerSecond;
}

/** What `measuringTime` is made of, in a plan that rewrites. */
export function measuringBasis(stored: StoredProof | undefined): string {
  return stored?.method === "etcd"
    ? `each look at what is stored reads about ${valuesPerSecond} values/s from etcd`
    : "each proof offers every object to every API server again";
}

function forecastResource(
  { method }: StoredProof,
  { resource, key }: RewriteTarget,
  entry: StoredResource,
  outlook: RewriteOutlook | undefined,
): ForecastResource {
  const admission = outlook?.admission.find((candidate) => candidate.resource === resource);
  return {
    resource,
    objects: entry.objects,
    stale: staleObjects(entry, key),
    bytes: method === "etcd" ? entry.bytes : undefined,
    mutatingWebhooks: admission?.mutatingWebhooks ?? [],
    validatingWebhooks: admission?.validatingWebhooks ?? [],
    policies: admission?.policies ?? [],
  };
}

function rate(outlook: RewriteOutlook | undefined) {
  const { objects = 0, milliseconds = 0 } = outlook?.reads ?? {};
  if (objects < leastSample || milliseconds <= 0) {
    return { objectsPerSecond: usualRate, rateBasis: `rewriting about ${usualRate} objects/s, not measured here` };
  }
  const reads = (objects * 1_000) / milliseconds;
  const objectsPerSecond = Math.max(1, Math.round(reads / readsPerRewrite));
  const basis = `the API servers answered ${Math.round(reads)} reads/s just now, and a rewrite costs about ${readsPerRewrite}`;
  return { objectsPerSecond, rateBasis: `rewriting about ${objectsPerSecond} objects/s: ${basis}` };
}

function overheadOf({ key }: RewriteTarget): number {
  if (key.provider === identityProvider) return 0;
  return kmsV2Overhead + 2 * key.provider.length + (key.keyId ?? "").length;
}

/** What the plan's loads, restarts and passes add up to; one is made for each plan. */
export function kmsCallCounter(servers: number) {
  let providerLoads = 0;
  let mostProviders = 0;
  let restarts = 0;
  return {
    /** A server loads this configuration: for each KMS provider in it, one Status and one Encrypt of a new data key. */
    load: (config: EncryptionConfiguration | undefined, isRestart: boolean) => {
      providerLoads += kmsProviders(config);
      mostProviders = Math.max(mostProviders, kmsProviders(config));
      if (isRestart) restarts += 1;
    },
    total: (
      stored: StoredProof | undefined,
      rewrites: boolean,
      expectedMs: number,
      last: EncryptionConfiguration | undefined,
    ): KmsCalls => {
      // Until PRUNE, which comes last, the old provider is asked too.
      const polled = Math.max(mostProviders, kmsProviders(last), 1);
      const polls = Math.ceil(expectedMs / statusInterval) * servers * polled;
      const dataKeys = sumOf(stored, ({ key, dataKeys = 0 }) => (key.provider.startsWith("kms/v2/") ? dataKeys : 0));
      // KMS v1 has a data key an object.
      const older = sumOf(stored, ({ key, objects }) => (key.provider.startsWith("kms/v1/") ? objects : 0));
      return {
        status: providerLoads + (providerLoads > 0 ? polls : 0),
        encrypt: providerLoads,
        // Every server meets every data key once after a load; the read through the pruned server meets each server's new one.
        decrypt: (rewrites ? dataKeys * servers + older : 0) + restarts * (dataKeys + older) + (rewrites ? servers : 0),
      };
    },
  };
}

/** apiserver encryptionconfig, kmsv2PluginHealthzPositiveInterval. */
const statusInterval = 60_000;

function kmsProviders(config: EncryptionConfiguration | undefined): number {
  const items = (config?.blocks ?? []).flatMap((block) => block.providers);
  return items.filter((item) => item.kind === "kms" && item.apiVersion === "v2").length;
}

function sumOf(stored: StoredProof | undefined, of: (entry: StoredResource["keys"][number]) => number): number {
  return (stored?.resources ?? []).reduce((sum, { keys }) => sum + keys.reduce((part, key) => part + of(key), 0), 0);
}
