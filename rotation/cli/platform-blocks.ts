/** The blocks of a configuration file that say whose etcd it is. Another platform is another entry here. */
import { resolve } from "node:path";
import { describeSelfManagedCluster, type SelfManagedCluster } from "../../core/self-managed-cluster";
import { openLocalCluster } from "../adapters/hosts/open-local-cluster";
import { openSelfManagedCluster } from "../adapters/hosts/open-self-managed-cluster";
import type { Cluster } from "../cluster";
import { isRecord, unknownNames } from "./records";
import { readSelfManagedBlock } from "./self-managed-block";
import { type Place, type Reading, violation } from "./usage-error";

/** A cluster that has been named and not been reached yet. */
export interface Platform {
  /** What reports and messages call it. */
  readonly description: string;
  /** Its hosts, where they are reached over SSH. */
  readonly selfManaged?: SelfManagedCluster;
  /** Connects. Throws KmsEtcdError where there is no such cluster. */
  open(): Promise<Cluster>;
}

export type PlatformReader = (value: unknown, place: Place) => Reading<Platform>;

/** By the name of the block, as in the inputs of an EncryptionRollout. */
export const platformReaders: ReadonlyMap<string, PlatformReader> = new Map([
  ["local", readLocal],
  ["selfManaged", readSelfManaged],
]);

/** `{ controlPlaneFile }`: a control plane of this machine. */
function readLocal(value: unknown, { path, base }: Place): Reading<Platform> {
  if (!isRecord(value)) return violation(path, "is no object; write { controlPlaneFile: ... }");
  const unknown = unknownNames(value, ["controlPlaneFile"], path);
  if (unknown.length > 0) return { violations: unknown };
  const { controlPlaneFile } = value;
  if (typeof controlPlaneFile !== "string" || controlPlaneFile === "") {
    return violation(`${path}.controlPlaneFile`, "is missing; name the control-plane.json of a control plane");
  }
  const file = resolve(base, controlPlaneFile);
  return { value: { description: `control plane ${file}`, open: () => openLocalCluster(file) } };
}

/** As in the inputs of an EncryptionRollout, with secrets in files. */
function readSelfManaged(value: unknown, place: Place): Reading<Platform> {
  const read = readSelfManagedBlock(value, place);
  if ("violations" in read) return read;
  const cluster = read.value;
  const description = describeSelfManagedCluster(cluster);
  return { value: { description, selfManaged: cluster, open: () => openSelfManagedCluster(cluster) } };
}
