/**
 * What is stored, proven without etcd: every object is offered to every server for a no-op write. A server leaves an object
 * alone that is stored as it would store it, and stores any other again; either way it is then stored as this server's
 * configuration says. So the proof says "stored with the key that the servers write", and can only be had while every server
 * writes with the key that is asked about; before that, everything counts as unknown.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { RewriteTarget } from "../../decision";
import { isUnreadable } from "../../declared-readers";
import type { ServerState, StoredProof, StoredResource } from "../../observation";
import type { Progress } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { noOpPatch, resourceVersionOf } from "./no-op-patch";
import { runPass } from "./object-pass";
import { countPatiently, type ListedObject } from "./paged-list";
import { resourceWriter } from "./resource-writer";
import type { ServedResource } from "./resources";

export interface ApiProofInput {
  /** One for each of `states`, in the same order. */
  readonly clients: readonly ApiClient[];
  readonly states: readonly ServerState[];
  readonly targets: readonly RewriteTarget[];
  /** What each target's name stands for. */
  readonly served: ReadonlyMap<string, readonly ServedResource[]>;
  /** The configuration behind a loaded hash, if it is known. */
  readonly configOf: (hash: string) => EncryptionConfiguration | undefined;
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
}

/** So many objects of each resource that a later server stores again are looked at more closely. */
const closerLook = 20;

/** Throws `blocked` without any server: then "every server" would be true of none. */
export async function proveByApi(input: ApiProofInput): Promise<StoredProof> {
  if (input.states.length === 0) {
    throw new KmsEtcdError("blocked", "no API server's configuration is known, so nothing can be proven through them");
  }
  const startedAt = Date.now();
  const provable = input.targets.filter((target) => isProvable(input, target));
  const counted = await passes(input, provable);
  const resources: StoredResource[] = [];
  for (const target of input.targets) {
    resources.push(provable.includes(target) ? counted(target) : await uncounted(input, target));
  }
  return { method: "api", startedAt, finishedAt: Date.now(), servers: input.states, resources };
}

/** Whether every server is known to write this target's provider. */
function isProvable({ states, configOf }: ApiProofInput, target: RewriteTarget): boolean {
  return states.every(({ loadedHash }) => {
    const config = configOf(loadedHash);
    return config !== undefined && resourceWriter(config, target.resource) === target.key.provider;
  });
}

interface Tally {
  /** Answered; the most of any pass, because objects come and go. */
  objects: number;
  /** Refused in some pass, by name, so that none counts twice. */
  readonly refused: Set<string>;
  /** Of the refused ones those that a server could not read. */
  readonly unreadable: Set<string>;
  /** Most objects that a server stored again although another one had just stored them, where the two disagree. */
  disputed: number;
}

/** First through one server alone, so that for the others every object has just been stored; then through those at once. */
async function passes(
  input: ApiProofInput,
  targets: readonly RewriteTarget[],
): Promise<(target: RewriteTarget) => StoredResource> {
  const { clients, served } = input;
  const resources = targets.flatMap((target) => served.get(target.resource) ?? []);
  const tallies = new Map(
    resources.map(({ name }): [string, Tally] => [
      name,
      { objects: 0, refused: new Set(), unreadable: new Set(), disputed: 0 },
    ]),
  );
  const onProgress = progressOfAll(input);
  const [first] = clients;

  async function through(client: ApiClient): Promise<void> {
    const { seen, failures } = await onePass(
      client,
      resources,
      (progress) => onProgress(client, progress),
      input.signal,
    );
    for (const failure of failures) {
      const { resource, namespace, name } = failure;
      tallies.get(resource)?.refused.add(`${namespace}/${name}`);
      if (isUnreadable(failure)) tallies.get(resource)?.unreadable.add(`${namespace}/${name}`);
    }
    for (const [resource, { objects, rewritten, sample }] of seen) {
      const tally = tallies.get(resource);
      if (tally === undefined) continue;
      tally.objects = Math.max(tally.objects, objects);
      if (first === undefined || client === first || !(await serversDisagree(first, client, sample))) continue;
      tally.disputed = Math.max(tally.disputed, rewritten);
    }
  }

  if (first !== undefined && resources.length > 0) {
    await through(first);
    const rest = await Promise.allSettled(clients.slice(1).map(through));
    for (const result of rest) if (result.status === "rejected") throw result.reason;
  }
  return (target) => {
    const own = (served.get(target.resource) ?? []).flatMap(({ name }) => tallies.get(name) ?? []);
    let objects = 0;
    let unknown = 0;
    let unreadable = 0;
    for (const tally of own) {
      unreadable += tally.unreadable.size;
      const all = Math.max(tally.objects, tally.refused.size);
      objects += all;
      unknown += Math.min(tally.refused.size + tally.disputed, all);
    }
    const keys = objects > unknown ? [{ key: target.key, objects: objects - unknown }] : [];
    return { resource: target.resource, objects, bytes: 0, keys, unknown, ...(unreadable > 0 && { unreadable }) };
  };
}

async function onePass(
  client: ApiClient,
  resources: readonly ServedResource[],
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
) {
  const seen = new Map<string, { objects: number; rewritten: number; readonly sample: ListedObject[] }>();
  const { failures } = await runPass({
    clients: [client],
    resources,
    ask: noOpPatch,
    // 409 is no answer here: what someone else wrote must be looked at too, and is, at the end of the pass.
    isAnswer: (status) => status === 404,
    onAnswer: (object, response) => {
      if (response.status !== 200) return;
      const entry = seen.get(object.resource.name) ?? { objects: 0, rewritten: 0, sample: [] };
      seen.set(object.resource.name, entry);
      entry.objects += 1;
      if (resourceVersionOf(response) === object.resourceVersion) return;
      entry.rewritten += 1;
      if (entry.sample.length < closerLook) entry.sample.push(object);
    },
    onProgress,
    signal,
  });
  return { seen, failures };
}

function progressOfAll({ clients, onProgress }: ApiProofInput) {
  const passing = new Map<ApiClient, Progress>();
  return (client: ApiClient, progress: Progress) => {
    passing.set(client, progress);
    const done = [...passing.values()].reduce((sum, one) => sum + one.done, 0);
    onProgress({ done, total: progress.total === undefined ? undefined : progress.total * clients.length });
  };
}

/**
 * A server that stores again what another has just stored either came after a client's write, which is common, or writes
 * with another key under the same provider name, which makes the two undo each other's work for ever.
 */
async function serversDisagree(a: ApiClient, b: ApiClient, sample: readonly ListedObject[]): Promise<boolean> {
  for (const object of sample) {
    const versions: string[] = [];
    for (const client of [b, a, b]) {
      const response = await noOpPatch(client, object);
      if (response.status === 200) versions.push(resourceVersionOf(response));
    }
    // Three no-op writes, three versions: each stored again what the other had stored.
    if (new Set(versions).size === 3) return true;
  }
  return false;
}

/** Counts without claiming anything. */
async function uncounted({ clients, served, signal }: ApiProofInput, target: RewriteTarget): Promise<StoredResource> {
  let unknown = 0;
  let unreadable = 0;
  for (const resource of served.get(target.resource) ?? []) {
    try {
      unknown += await countPatiently(clients, resource, signal);
    } catch (thrown) {
      // A list that fails inside the server is most often an object that can't be decrypted.
      if (!(thrown instanceof KmsEtcdError) || thrown.code !== "corrupt") throw thrown;
      unknown += 1;
      unreadable += 1;
    }
  }
  const counted = { resource: target.resource, objects: unknown, bytes: 0, keys: [], unknown };
  return unreadable > 0 ? { ...counted, unreadable } : counted;
}
