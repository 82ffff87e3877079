/** The outputs of an EncryptionRollout, and when evidence counts as new. */
import type { Evidence } from "../../rotation/evidence";
import { isObject, type Properties, type PropertyValue } from "../property-values";

/** What the outputs are made of. An undefined value is left out: not known, or never seen. */
export interface RolloutOutputs {
  readonly activeKeyVersion: number | undefined;
  readonly atGoal: boolean;
  readonly plan: PropertyValue | undefined;
  readonly evidence: PropertyValue | undefined;
  /** The last run's report, as a DSSE envelope. */
  readonly report: PropertyValue | undefined;
}

export function rolloutOutputs(outputs: RolloutOutputs): Properties {
  const { activeKeyVersion, atGoal, plan, evidence, report } = outputs;
  return {
    ...(activeKeyVersion === undefined ? {} : { activeKeyVersion }),
    atGoal,
    plan: plan ?? [],
    ...(evidence === undefined ? {} : { evidence }),
    ...(report === undefined ? {} : { report }),
  };
}

/**
 * The evidence to keep: `before` as long as `now` says the same, so that its time is when that was first seen. With
 * `countsMayDiffer`, more or fewer objects under the same keys are the same: users make and delete objects all day, and
 * every preview would show a change otherwise.
 */
export function evidenceToKeep(
  before: PropertyValue | undefined,
  now: Evidence,
  countsMayDiffer: boolean,
): PropertyValue {
  const after = evidenceProperties(now);
  if (!isObject(before)) return after;
  // Nobody looked: another engine was at work.
  if (now.servers.length === 0) return before;
  if (!countsMayDiffer) return before["digest"] === after["digest"] ? before : after;
  // A look that could prove nothing, through the API, takes nothing back while the servers are what they were.
  if (now.method === "none" && serversOf(before) === serversOf(after)) return before;
  // A look right after a reload can't be complete: a request from before may still be under way. The run has waited for it.
  return essence(before) === essence(after) && (before["complete"] === true || !now.complete) ? before : after;
}

function evidenceProperties(evidence: Evidence): Properties {
  return {
    resources: evidence.resources.map((entry) => ({
      resource: entry.resource,
      objects: entry.objects,
      keys: entry.keys.map(({ provider, keyId, objects }) => ({
        provider,
        ...(keyId === undefined ? {} : { keyId }),
        objects,
      })),
      unknown: entry.unknown,
    })),
    servers: evidence.servers.map(({ name, version, loadedHash, basis }) => ({ name, version, loadedHash, basis })),
    method: evidence.method,
    ...(evidence.etcd && { etcdClusterId: evidence.etcd.clusterId, etcdRevision: evidence.etcd.revision }),
    discovery: evidence.discovery,
    provenAt: evidence.provenAt,
    complete: evidence.complete,
    digest: evidence.digest,
  };
}

function serversOf(evidence: Properties): string {
  return JSON.stringify(
    list(evidence["servers"]).map((server) => [
      server["name"],
      server["version"],
      server["loadedHash"],
      server["basis"],
    ]),
  );
}

/** What evidence says about keys and servers, without counts and times, as a text that can be compared. */
function essence(evidence: Properties): string {
  const resources = list(evidence["resources"]).map((entry) => [
    entry["resource"],
    entry["unknown"] === 0,
    list(entry["keys"])
      .map((key) => JSON.stringify([key["provider"], key["keyId"] ?? null]))
      .sort(),
  ]);
  return JSON.stringify([
    resources,
    serversOf(evidence),
    evidence["method"],
    evidence["etcdClusterId"] ?? null,
    evidence["discovery"],
  ]);
}

function list(value: PropertyValue | undefined): readonly Properties[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
