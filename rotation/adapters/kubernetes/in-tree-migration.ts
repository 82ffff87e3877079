/**
 * REWRITE by the cluster's own controller: one StorageVersionMigration a resource, which kube-controller-manager's
 * storage-version-migrator works off (Kubernetes 1.35 and later, behind a feature gate). It stops at the first object that is
 * refused and does not say which were written, so what it has done is verified like anything else. Rules: kubernetes
 * pkg/controller/storageversionmigrator (read at v1.36.3).
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { KmsEtcdError } from "../../../core/errors";
import type { ObjectFailure } from "../../observation";
import type { Progress, RewriteResult } from "../../stored-objects";
import type { ApiClient, ApiResponse } from "./api-client";
import { admissionRefusal, describeStatus } from "./api-error";
import { countObjects } from "./paged-list";
import type { ServedResource } from "./resources";

export interface InTreeMigration {
  readonly clients: readonly ApiClient[];
  readonly resources: readonly ServedResource[];
  readonly onProgress: (progress: Progress) => void;
  readonly signal: AbortSignal;
  /** How often the migrations are looked at, in milliseconds. @default 1_000 */
  readonly pollInterval?: number;
  /** How long a migration may be left untouched before it is clear that nobody works on it. @default 120_000 */
  readonly patience?: number;
  /** How many objects a second the controller writes at least: slower than that it has stopped. @default 5 */
  readonly slowest?: number;
}

const group = "storagemigration.k8s.io";
const plural = "storageversionmigrations";
const label = { name: "app.kubernetes.io/managed-by", value: "kms-etcd" };
/** Versions whose objects look alike, the newest first; v1alpha1 is another API. */
const versions = ["v1", "v1beta1"];

/** kube-controller-manager renews it every few seconds; where it has no leader election there is none. */
const controllerLease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";

interface Migration {
  readonly metadata: { readonly name: string };
  readonly status?: {
    readonly resourceVersion?: string;
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

/** Throws `unsupported`, saying what is missing, where the API or its controller is not there. */
export async function migrateInTree(migration: InTreeMigration): Promise<RewriteResult> {
  const { clients, resources, onProgress, signal, pollInterval = 1_000, patience = 120_000, slowest = 5 } = migration;
  const base = await servedBase(clients, signal);
  await removeAll(clients, base);
  const counts = new Map<ServedResource, number>();
  for (const resource of resources) counts.set(resource, await countAny(clients, resource, signal));
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const failures: ObjectFailure[] = [];
  const waiting = new Map<string, ServedResource>();
  let done = 0;
  try {
    for (const resource of resources) waiting.set(await create(clients, base, resource), resource);
    const states = lastChange();
    const leases = lastChange();
    while (waiting.size > 0) {
      onProgress({ done, total });
      await delay(pollInterval, undefined, { signal }).catch(() => {
        throw new KmsEtcdError("cancelled", "stopped at a safe point; the controller may finish what it has begun");
      });
      const seen = new Map<string, Migration>();
      for (const name of waiting.keys()) seen.set(name, await getAny(clients, `${base}/${name}`, signal));
      for (const [name, { status }] of seen) {
        const failed = condition(status, "Failed");
        const resource = waiting.get(name);
        if (resource === undefined || (failed === undefined && condition(status, "Succeeded") === undefined)) continue;
        waiting.delete(name);
        if (failed === undefined) done += counts.get(resource) ?? 0;
        else failures.push({ resource: resource.name, namespace: "", name: "", reason: whyItFailed(failed.message) });
      }
      if (waiting.size === 0) break;
      const untouched = states.unchangedFor(JSON.stringify([...seen.values()].map(({ status }) => status ?? {})));
      const lease = await controllerRenewal(clients, signal);
      // One that was never seen to be renewed is left from another time.
      const renewed = lease === undefined ? 0 : leases.unchangedFor(lease);
      const isGone = leases.changes() > 1 && renewed > patience;
      if (untouched <= patience) continue;
      if ([...seen.values()].some(({ status }) => status?.resourceVersion === undefined)) throw nobodyWorks(patience);
      // A migration says nothing between its beginning and its end: whether it still goes on, only time tells, and the Lease.
      const left = [...waiting.values()].reduce((sum, resource) => sum + (counts.get(resource) ?? 0), 0);
      const isLate = untouched > patience + (left / slowest) * 1_000;
      if (isGone) throw hasStopped([...waiting.values()], renewed, "gone");
      if (isLate) throw hasStopped([...waiting.values()], untouched, "late");
    }
  } finally {
    await removeAll(clients, base).catch(() => undefined);
  }
  onProgress({ done, total });
  return { offered: total, rewritten: undefined, failures };
}

/** For how many milliseconds what is seen has been the same, and how often it was another thing than before. */
function lastChange() {
  let seen: string | undefined;
  let at = Date.now();
  let changes = 0;
  return {
    unchangedFor: (now: string): number => {
      if (now !== seen) {
        at = Date.now();
        changes += 1;
      }
      seen = now;
      return Date.now() - at;
    },
    changes: () => changes,
  };
}

/** Who holds the controllers' Lease and when it was renewed; undefined where there is none, or none may be read. */
async function controllerRenewal(clients: readonly ApiClient[], signal: AbortSignal): Promise<string | undefined> {
  try {
    const { spec } = await getAny<{ readonly spec?: object }>(clients, controllerLease, signal);
    return JSON.stringify(spec ?? {});
  } catch (thrown) {
    if (signal.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
    return undefined;
  }
}

function condition(status: Migration["status"], type: string) {
  return status?.conditions?.find((candidate) => candidate.type === type && candidate.status === "True");
}

async function servedBase(clients: readonly ApiClient[], signal: AbortSignal): Promise<string> {
  for (const version of versions) {
    const path = `/apis/${group}/${version}`;
    const found = await getAny<{ resources?: readonly { name: string }[] }>(clients, path, signal).catch(
      (thrown: unknown) => {
        if (thrown instanceof KmsEtcdError && thrown.code === "not-found") return undefined;
        throw thrown;
      },
    );
    if (found?.resources?.some(({ name }) => name === plural)) return `${path}/${plural}`;
  }
  throw new KmsEtcdError("unsupported", `the API servers do not serve ${group}/v1 or v1beta1`, {
    remedy:
      "from Kubernetes 1.35 on, start them with --feature-gates=StorageVersionMigrator=true and " +
      `--runtime-config=${group}/v1beta1=true, and kube-controller-manager with the same gate; or leave rewriteBy at Patch`,
  });
}

function nobodyWorks(patience: number): KmsEtcdError {
  return new KmsEtcdError("unsupported", `no controller has taken up the migration within ${patience / 1_000} s`, {
    remedy:
      "run kube-controller-manager with --feature-gates=StorageVersionMigrator=true and the controllers " +
      "storage-version-migrator-controller and garbage-collector-controller; or leave rewriteBy at Patch",
  });
}

/** What it has written stays so, and what it has not is still readable: both keys are in every configuration. */
function hasStopped(resources: readonly ServedResource[], silence: number, how: "late" | "gone"): KmsEtcdError {
  const names = resources.map(({ name }) => name).join(", ");
  const seconds = Math.round(silence / 1_000);
  const why =
    how === "gone"
      ? `kube-controller-manager has not renewed its Lease for ${seconds} s`
      : `nothing has come of it for ${seconds} s, longer than so many objects take`;
  return new KmsEtcdError("blocked", `the controller began to migrate ${names} and does not get on: ${why}`, {
    remedy:
      "see its log and start it again, or leave rewriteBy at Patch; then run again, which goes on with what is left",
  });
}

async function create(clients: readonly ApiClient[], base: string, resource: ServedResource): Promise<string> {
  const name = `kms-etcd-${resource.name}-${randomBytes(4).toString("hex")}`;
  const body = JSON.stringify({
    apiVersion: base.split("/").slice(2, 4).join("/"),
    kind: "StorageVersionMigration",
    metadata: { name, labels: { [label.name]: label.value } },
    spec: { resource: { group: resource.group, resource: resource.plural } },
  });
  const response = await sendAny(clients, "POST", base, body);
  // 409: an earlier try of this request has got there after all.
  if (response.status === 201 || response.status === 409) return name;
  throw new KmsEtcdError(
    response.status === 403 ? "permission-denied" : "unsupported",
    `no StorageVersionMigration can be made for ${resource.name}: ${describeStatus(response.status, response.body)}`,
  );
}

/** Ours only, also those that a killed run has left behind. */
async function removeAll(clients: readonly ApiClient[], base: string): Promise<void> {
  const selector = encodeURIComponent(`${label.name}=${label.value}`);
  const response = await sendAny(clients, "DELETE", `${base}?labelSelector=${selector}`);
  if (response.status === 200 || response.status === 404) return;
  const why = describeStatus(response.status, response.body);
  throw new KmsEtcdError("unsupported", `earlier StorageVersionMigrations cannot be removed: ${why}`);
}

async function countAny(clients: readonly ApiClient[], resource: ServedResource, signal: AbortSignal): Promise<number> {
  return inTurn(clients, (client) => countObjects(client, resource, signal));
}

function getAny<T>(clients: readonly ApiClient[], path: string, signal: AbortSignal): Promise<T> {
  return inTurn(clients, (client) => client.get<T>(path, "application/json", signal));
}

function sendAny(clients: readonly ApiClient[], method: "POST" | "DELETE", path: string, body?: string) {
  return inTurn(clients, async (client): Promise<ApiResponse> => {
    const response = await client.send({ method, path, ...(body && { body, contentType: "application/json" }) });
    if (response.status < 500 && response.status !== 429) return response;
    throw new KmsEtcdError("unreachable", `${client.name}: ${describeStatus(response.status, response.body)}`);
  });
}

/** The first server that answers; a refusal is an answer. */
async function inTurn<T>(clients: readonly ApiClient[], ask: (client: ApiClient) => Promise<T>): Promise<T> {
  let failure: unknown = new KmsEtcdError("invalid-input", "no API server was given to work through");
  for (const client of clients) {
    try {
      return await ask(client);
    } catch (thrown) {
      failure = thrown;
      const passes = thrown instanceof KmsEtcdError && ["unreachable", "timeout", "throttled"].includes(thrown.code);
      if (!passes) throw thrown;
    }
  }
  throw failure;
}

/** The condition quotes the refusal of one object, with its content where validation failed: only what names who refused is told. */
function whyItFailed(message = ""): string {
  const refused = admissionRefusal(message);
  const object = /[a-z.-]+ "[^"]{1,253}" is (?:invalid|forbidden)/i.exec(message)?.[0];
  const what = [object, refused].filter((part) => part !== undefined).join(", ");
  return `the cluster's own migration has failed${what === "" ? "" : ` (${what})`}; rewrite by Patch names every object that is refused`;
}
