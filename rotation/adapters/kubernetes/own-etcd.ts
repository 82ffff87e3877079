/**
 * Whether an etcd is the API servers' own: another one, or another prefix, would prove anything. Two things are compared. A
 * list's resourceVersion is a revision of etcd, and not older than the request, also where the API server answers from its
 * watch cache (apiserver storage/cacher, read at v0.31.0 and v0.36.3): so it lies between what etcd says right before and right
 * after, and in no other etcd does it. And as many objects lie below the prefix as the API servers count.
 */
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { StoredResource } from "../../observation";
import type { EtcdClient } from "../etcd/etcd-client";
import { resourceKeyPrefix } from "../etcd/etcd-keys";
import type { ApiClient } from "./api-client";
import { countAt, countPatiently } from "./paged-list";
import type { ServedResource } from "./resources";

export interface EtcdComparison {
  readonly clients: readonly ApiClient[];
  readonly served: ReadonlyMap<string, readonly ServedResource[]>;
  /** What was counted in etcd. */
  readonly seen: readonly StoredResource[];
  readonly prefix: string;
  /** Resources with an etcd of their own. */
  readonly overrides: readonly string[];
  /** The etcd that has a resource. */
  readonly clientOf: (resource: string) => EtcdClient;
  /** Milliseconds for what may pass; 0 while no API server is there. */
  readonly patience: number;
  readonly signal: AbortSignal;
}

export interface ComparisonResult {
  /** Why it is not the API servers' own. */
  readonly other?: KmsEtcdError;
  /** What could not be compared, in words. */
  readonly doubts: readonly string[];
}

/** Every cluster has some, all are in the main etcd, and whoever may ask what is served may list them. */
const everywhere: ServedResource = {
  name: "apiservices.apiregistration.k8s.io",
  group: "apiregistration.k8s.io",
  base: "/apis/apiregistration.k8s.io/v1",
  plural: "apiservices",
  namespaced: false,
};

export async function compareWithApi(comparison: EtcdComparison): Promise<ComparisonResult> {
  const { clients, served, seen, overrides, prefix, patience, signal } = comparison;
  const apart = [...served.values()].flat().filter(({ name }) => overrides.includes(name));
  const doubts: string[] = [];
  for (const resource of [everywhere, ...apart]) {
    const result = await compareRevisions(comparison, resource);
    if (result.other !== undefined) return result;
    doubts.push(...result.doubts);
  }
  for (const { resource, objects } of seen) {
    try {
      let counted = 0;
      for (const one of served.get(resource) ?? []) counted += await countPatiently(clients, one, signal, patience);
      if (!isAboutAll(objects, counted)) {
        return {
          other: notTheirs(`etcd has ${objects} ${resource} below ${prefix}, but the API servers count ${counted}`),
          doubts,
        };
      }
    } catch (thrown) {
      if (signal.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
      doubts.push(`how many ${resource} there are by the API servers' own count: ${thrown.message}`);
    }
  }
  return { doubts };
}

/** Through every server: one that stores elsewhere must not hide behind the others. One that answers is enough. */
async function compareRevisions(comparison: EtcdComparison, resource: ServedResource): Promise<ComparisonResult> {
  const { clients, patience, signal } = comparison;
  const giveUpAt = Date.now() + patience;
  for (let pause = 250; ; pause = Math.min(pause * 2, 5_000)) {
    const looks = await Promise.all(clients.map((client) => compareRevision(comparison, client, resource)));
    const other = looks.find((look) => look instanceof KmsEtcdError);
    if (other !== undefined) return { other, doubts: [] };
    const failures = looks.flatMap((look) => (look === "same" || look instanceof KmsEtcdError ? [] : look.failure));
    if (failures.length < clients.length) return { doubts: [] };
    const [first] = failures;
    const mayPass = failures.some(({ code }) => ["unreachable", "timeout", "throttled", "corrupt"].includes(code));
    if (!mayPass || Date.now() + pause > giveUpAt) {
      const why = first === undefined ? "there is none to ask" : first.message;
      return { doubts: [`whether the etcd with ${resource.name} is the API servers' own: ${why}`] };
    }
    await delay(pause, undefined, { signal }).catch(() => {
      throw new KmsEtcdError("cancelled", "stopped at a safe point");
    });
  }
}

type Look = "same" | KmsEtcdError | { readonly failure: KmsEtcdError };

async function compareRevision(
  { clientOf, prefix, signal }: EtcdComparison,
  client: ApiClient,
  resource: ServedResource,
): Promise<Look> {
  const keys = resourceKeyPrefix(resource.name, prefix);
  // Keys end with "/": the first one behind them all has the next byte there.
  const range = { key: Buffer.from(keys), rangeEnd: Buffer.from(`${keys.slice(0, -1)}0`), limit: 1, revision: 0 };
  const etcd = clientOf(resource.name);
  const before = await etcd.range(range, signal);
  let said: Awaited<ReturnType<typeof countAt>>;
  try {
    said = await countAt(client, resource, signal);
  } catch (thrown) {
    if (signal.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
    return { failure: thrown };
  }
  const after = await etcd.range(range, signal);
  if (Number.isNaN(said.revision)) {
    const text = `${client.name}: the list of ${resource.name} has no resourceVersion`;
    return { failure: new KmsEtcdError("unsupported", text) };
  }
  if (said.revision < before.revision || said.revision > after.revision) {
    const where = `etcd went from revision ${before.revision} to ${after.revision}`;
    return notTheirs(`${where} while ${client.name} listed ${resource.name} at revision ${said.revision}`);
  }
  if (isAboutAll(after.count, said.objects) || isAboutAll(before.count, said.objects)) return "same";
  return notTheirs(
    `etcd has ${after.count} ${resource.name} below ${prefix}, but ${client.name} counts ${said.objects}`,
  );
}

function notTheirs(what: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", what, {
    remedy:
      "give the API servers' own --etcd-servers, --etcd-servers-overrides and --etcd-prefix; " +
      "if many objects were deleted just now, run again; if a backup of etcd was restored under running API servers, restart these",
  });
}

/**
 * Whether an etcd with `objects` of a resource can be the one of which API servers count so many: but for a tenth, and one
 * object, that may have come between the two looks.
 */
export function isAboutAll(objects: number, counted: number): boolean {
  if (objects === 0) return counted === 0;
  return counted - objects <= 1 + counted / 10;
}
