/** What can be shown to an auditor: counts and hashes, never an object's name. It claims no more than was seen. */
import { createHash } from "node:crypto";
import type { Goal } from "./goal";
import type { EtcdPosition, Observation } from "./observation";
import { staleTotal, validStored } from "./proofs";
import { type EndpointOf, situationOf } from "./situation";

export interface Evidence {
  readonly resources: readonly EvidenceResource[];
  readonly servers: readonly EvidenceServer[];
  /** How it was proven: `etcd`, `api`, or `none`. */
  readonly method: "etcd" | "api" | "none";
  /** By `etcd`: which etcd, and the revision at which the look began. */
  readonly etcd?: { readonly clusterId: string; readonly revision: number };
  /** How the server set was found, and what could not be seen: of the servers, and of what is stored. */
  readonly discovery: string;
  /** ISO time of the measurement; kept while `digest` stays the same. */
  readonly provenAt: string;
  /** Every stored object uses the goal's key. */
  readonly complete: boolean;
  /** SHA-256 over everything but the time and etcd's revision, which goes on with every write. */
  readonly digest: string;
}

export interface EvidenceResource {
  readonly resource: string;
  readonly objects: number;
  readonly keys: readonly { readonly provider: string; readonly keyId?: string; readonly objects: number }[];
  readonly unknown: number;
}

export interface EvidenceServer {
  readonly name: string;
  readonly version: string;
  readonly loadedHash: string;
  /** What says that it is loaded. */
  readonly basis: string;
}

/** The evidence in an observation; of the stored proof only what is still valid counts. */
export function evidenceOf(observed: Observation | undefined, goal: Goal, endpointOf: EndpointOf): Evidence {
  if (observed === undefined)
    return seal({ resources: [], servers: [], method: "none", discovery: "", complete: false }, 0);
  const servers = observed.servers.map((server) => ({
    name: server.name,
    version: server.version,
    loadedHash: server.loaded.hash ?? "",
    basis: server.loaded.basis,
  }));
  const { discovery } = observed;
  let targets: ReturnType<typeof situationOf>["targets"];
  try {
    targets = situationOf(observed, goal, endpointOf).targets;
  } catch {
    return seal({ resources: [], servers, method: "none", discovery, complete: false }, observed.now);
  }
  const proof = validStored(observed, targets);
  if (proof === undefined || proof.method === "counted")
    return seal({ resources: [], servers, method: "none", discovery, complete: false }, observed.now);
  const resources = proof.resources.map((entry) => ({
    resource: entry.resource,
    objects: entry.objects,
    keys: entry.keys.map(({ key, objects }) => ({ ...key, objects })),
    unknown: entry.unknown,
  }));
  const settled = observed.settledAt !== undefined && proof.startedAt >= observed.settledAt;
  const isCertain = (proof.unproven ?? []).length === 0 && (proof.doubts ?? []).length === 0;
  const complete = settled && staleTotal(proof, targets) === 0 && isCertain;
  const seen = [discovery, ...(proof.notSeen ?? [])].join("; ");
  const facts = { resources, servers, method: proof.method, discovery: seen, complete };
  return seal(facts, proof.finishedAt, proof.etcd);
}

function seal(facts: Omit<Evidence, "provenAt" | "digest" | "etcd">, at: number, etcd?: EtcdPosition): Evidence {
  const where = etcd === undefined ? {} : { clusterId: etcd.clusterId };
  const digest = createHash("sha256")
    .update(JSON.stringify({ ...facts, ...where }))
    .digest("hex");
  return {
    ...facts,
    ...(etcd === undefined ? {} : { etcd: { clusterId: etcd.clusterId, revision: etcd.revision } }),
    provenAt: new Date(at).toISOString(),
    digest: `sha256:${digest}`,
  };
}
