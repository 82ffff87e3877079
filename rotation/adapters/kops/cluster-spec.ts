/**
 * A kOps cluster as the state store has it: the few fields that encryption at rest depends on, with everything else carried along
 * untouched. Documents are JSON: kOps reads YAML 1.1, where a plain `yes` in what another writer made would become a boolean.
 */
import { KmsEtcdError } from "../../../core/errors";

/** A file that nodeup writes on machines of these roles (kops pkg/apis/kops/cluster.go, FileAssetSpec). */
export interface FileAsset {
  readonly name: string;
  /** Default: /srv/kubernetes/assets/NAME. */
  readonly path?: string;
  /** Compared exactly on the machine; absent: all machines. */
  readonly roles?: readonly string[];
  readonly content: string;
  /** base64 without padding: nodeup decodes with Go's RawStdEncoding. */
  readonly isBase64?: boolean;
  readonly mode?: string;
}

/** A systemd unit that nodeup makes (HookSpec); only its text and name matter here. */
export interface Hook {
  readonly name?: string;
  readonly [field: string]: unknown;
}

export interface ClusterSpec {
  readonly encryptionConfig?: boolean;
  readonly fileAssets?: readonly FileAsset[];
  readonly hooks?: readonly Hook[];
  readonly additionalPolicies?: Readonly<Record<string, string>>;
  readonly kubernetesVersion?: string;
  readonly [field: string]: unknown;
}

export interface KopsCluster {
  readonly apiVersion: string;
  readonly kind: "Cluster";
  readonly metadata: { readonly name: string; readonly [field: string]: unknown };
  readonly spec: ClusterSpec;
}

/** An instance group: which machines there are, and what they run. */
export interface InstanceGroup {
  readonly name: string;
  /** As kOps compares it on machines: `ControlPlane`, `APIServer`, `Node`, `Bastion`. */
  readonly role: string;
  readonly fileAssets: readonly FileAsset[];
}

/** A role's name in specs and on machines, and the key of `additionalPolicies` for it. */
const roleNames: Readonly<Record<string, string>> = { Master: "ControlPlane" };

/** Roles whose machines run an API server, as nodeup compares them. */
export const apiServerRoles: readonly string[] = ["ControlPlane", "APIServer"];

/** Throws `invalid-input` for anything that is no Cluster. */
export function readCluster(document: unknown): KopsCluster {
  const cluster = record(document);
  const metadata = record(cluster?.["metadata"]);
  const spec = record(cluster?.["spec"]);
  if (cluster?.["kind"] !== "Cluster" || typeof metadata?.["name"] !== "string" || spec === undefined) {
    throw new KmsEtcdError(
      "invalid-input",
      "what was given is no kOps Cluster: it lacks its kind, metadata.name or spec",
      {
        remedy: "give the document that `kops get cluster NAME -o json` prints",
      },
    );
  }
  for (const [index, asset] of list(spec["fileAssets"]).entries()) {
    const { name, content } = record(asset) ?? {};
    if (typeof name === "string" && typeof content === "string") continue;
    throw new KmsEtcdError("invalid-input", `spec.fileAssets[${index}] lacks its name or content`, {
      remedy: "kOps refuses it too: mend it with `kops edit cluster`",
    });
  }
  return cluster as unknown as KopsCluster;
}

/** Throws `invalid-input` for anything that is no InstanceGroup. */
export function readInstanceGroup(document: unknown): InstanceGroup {
  const group = record(document);
  const name = record(group?.["metadata"])?.["name"];
  const spec = record(group?.["spec"]);
  const role = spec?.["role"];
  if (group?.["kind"] !== "InstanceGroup" || typeof name !== "string" || typeof role !== "string") {
    throw new KmsEtcdError(
      "invalid-input",
      "what was given is no kOps InstanceGroup: it lacks its kind, name or role",
      {
        remedy: "give the documents that `kops get instancegroups -o json` prints",
      },
    );
  }
  return { name, role: roleNames[role] ?? role, fileAssets: list(spec?.["fileAssets"]) as readonly FileAsset[] };
}

/** The groups whose machines run an API server, in the order in which kOps rolls them. */
export function apiServerGroups(groups: readonly InstanceGroup[]): readonly InstanceGroup[] {
  const rank = (group: InstanceGroup) => apiServerRoles.indexOf(group.role);
  return groups.filter((group) => rank(group) >= 0).sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

/** Where nodeup puts a file asset. */
export function assetPath(asset: FileAsset): string {
  return asset.path ?? `/srv/kubernetes/assets/${asset.name}`;
}

/** A text for the asset as a machine of `role` gets it; undefined where it gets none. Equal texts are equal files. */
export function appliedAsset(asset: FileAsset, role: string): string | undefined {
  if (asset.roles !== undefined && asset.roles.length > 0 && !asset.roles.includes(role)) return undefined;
  return JSON.stringify([assetPath(asset), asset.content, asset.isBase64 === true, asset.mode ?? ""]);
}

/** All assets that a machine of the group gets; a group's own wins over the cluster's at the same path. */
export function appliedAssets({ fileAssets = [] }: ClusterSpec, group: InstanceGroup): readonly string[] {
  const own = group.fileAssets.map(assetPath);
  const shared = fileAssets.filter((asset) => !own.includes(assetPath(asset)));
  return [...shared, ...group.fileAssets].flatMap((asset) => appliedAsset(asset, group.role) ?? []);
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
