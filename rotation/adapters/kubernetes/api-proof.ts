/**
 * What is stored, proven without etcd: every object is offered to every server for a no-op write. A server leaves an object
 * alone that is stored as it would store it, and stores any other again; either way it is then stored as this server's
 * configuration says. So the proof says "stored with the key that the servers write", and can only be had while every server
 * writes with the key that is asked about; before that, everything counts as unknown.
 */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import type { RewriteTarget } from "../../decision";
import type { ObjectFailure, ServerState, StoredProof, StoredResource } from "../../observation";
import type { Progress } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { noOpPatch, resourceVersionOf } from "./no-op-patch";
import { runPass } from "./object-pass";
import { countObjects, type ListedObject } from "./paged-list";
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

/** So many objects that a later server stores again are looked at more closely. */
const closerLook = 1_000;

export async function proveByApi(input: ApiProofInput): Promise<StoredProof> {
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

async function passes(
  input: ApiProofInput,
  targets: readonly RewriteTarget[],
): Promise<(target: RewriteTarget) => StoredResource> {
  const resources = targets.flatMap((target) => input.served.get(target.resource) ?? []);
  const objects = new Map<string, number>();
  const unproven = new Map<string, Set<string>>();
  const doubt = (resource: string, object: string) => {
    const names = unproven.get(resource) ?? new Set();
    unproven.set(resource, names.add(object));
  };
  for (const [index, client] of input.clients.entries()) {
    if (resources.length === 0) break;
    objects.clear();
    const rewritten: ListedObject[] = [];
    const { failures } = await runPass({
      clients: [client],
      resources,
      ask: noOpPatch,
      // 409 is no answer here: what someone else wrote must be looked at too, and is, at the end of the pass.
      isAnswer: (status) => status === 404,
      onAnswer: (object, response) => {
        if (response.status !== 200) return;
        objects.set(object.resource.name, (objects.get(object.resource.name) ?? 0) + 1);
        const changed = resourceVersionOf(response) !== object.resourceVersion;
        if (changed && index > 0 && rewritten.length < closerLook) rewritten.push(object);
      },
      onProgress: ({ done, total }) =>
        input.onProgress({
          done: done + index * (total ?? done),
          total: total === undefined ? undefined : total * input.clients.length,
        }),
      signal: input.signal,
    });
    for (const failure of failures) doubt(failure.resource, objectName(failure));
    const before = input.clients[index - 1];
    if (before === undefined) continue;
    for (const object of rewritten) {
      if (await serversDisagree(before, client, object)) doubt(object.resource.name, objectName(object));
    }
  }
  return (target) => {
    const names = (input.served.get(target.resource) ?? []).map((resource) => resource.name);
    const unknown = names.reduce((sum, name) => sum + (unproven.get(name)?.size ?? 0), 0);
    const seen = names.reduce((sum, name) => sum + (objects.get(name) ?? 0), 0);
    // An object in doubt may also have been counted as answered: it must not count twice.
    const proven = Math.max(seen - unknown, 0);
    const keys = proven > 0 ? [{ key: target.key, objects: proven }] : [];
    return { resource: target.resource, objects: proven + unknown, bytes: 0, keys, unknown };
  };
}

/**
 * A server that stores again what another has just stored either came after a client's write, which is common, or writes
 * with another key under the same provider name, which makes the two undo each other's work for ever.
 */
async function serversDisagree(a: ApiClient, b: ApiClient, object: ListedObject): Promise<boolean> {
  let last: string | undefined;
  for (const client of [b, a, b]) {
    const response = await noOpPatch(client, object, AbortSignal.timeout(20_000));
    if (response.status === 404) return false;
    if (response.status !== 200) return true;
    const version = resourceVersionOf(response);
    if (version === last) return false;
    last = version;
  }
  return true;
}

/** Counts without claiming anything. */
async function uncounted({ clients, served, signal }: ApiProofInput, target: RewriteTarget): Promise<StoredResource> {
  let unknown = 0;
  const client = clients[0];
  for (const resource of served.get(target.resource) ?? []) {
    if (client !== undefined) unknown += await countObjects(client, resource, signal);
  }
  return { resource: target.resource, objects: unknown, bytes: 0, keys: [], unknown };
}

function objectName(object: Pick<ObjectFailure, "namespace" | "name">): string {
  return `${object.namespace}/${object.name}`;
}
