/**
 * What encryption at rest adds to a kOps cluster's spec, and takes away again; every other field keeps its value and its place.
 * Pure: from the spec that is there to the spec that should be there.
 */
import type { PluginInstance } from "../../../core/plugin-instance";
import { pluginComponent } from "../../../core/static-pod";
import { type ClusterSpec, type FileAsset, type Hook, type InstanceGroup, type KopsCluster } from "./cluster-spec";
import { assetName, freeHealthPort, type PluginImage, pluginAsset } from "./plugin-asset";
import { type AssetPlugin, assetText, readAssetPlugin } from "./plugin-manifest-reader";

export interface KmsSettings {
  /** Plugins that every machine with an API server must run. */
  readonly plugins: readonly PluginInstance[];
  readonly image: PluginImage;
  /** Roles of those machines: `ControlPlane`, and `APIServer` where there are such groups. */
  readonly roles: readonly string[];
  /** Statements for the machines' role, where the keys' own policies don't let it in. Absent: policies are left alone. */
  readonly statements?: readonly PolicyStatement[];
}

/** A statement of an IAM policy. Ours have a `Sid` that begins with `KmsEtcd`. */
export interface PolicyStatement {
  readonly Sid?: string;
  readonly Effect: string;
  readonly [field: string]: unknown;
}

const ourStatement = "KmsEtcd";
/** The key of `additionalPolicies` for machines with an API server; v1alpha2 has its own name for the first (kops conversion.go). */
const policyKeys: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "kops.k8s.io/v1alpha2": { ControlPlane: "master", APIServer: "apiserver" },
  "kops.k8s.io/v1alpha3": { ControlPlane: "control-plane", APIServer: "apiserver" },
};

/** The cluster with encryption on and with `settings.plugins`. Plugins that nothing needs any more go by `withoutPlugins`. */
export function withKmsSettings(cluster: KopsCluster, settings: KmsSettings): KopsCluster {
  const present = cluster.spec.fileAssets ?? [];
  const wanted = pluginAssets(cluster, settings);
  const kept = present.map(
    (asset) => (isOurAsset(asset) ? wanted.find((ours) => ours.name === asset.name) : undefined) ?? asset,
  );
  const added = wanted.filter((ours) => !kept.some((asset) => asset.name === ours.name));
  return withSpec(cluster, {
    ...cluster.spec,
    encryptionConfig: true,
    ...listField("fileAssets", [...kept, ...added], present),
    ...policies(cluster, settings),
  });
}

/** A plugin that is there keeps its port: another one would roll machines for nothing. */
function pluginAssets(cluster: KopsCluster, { plugins, image, roles }: KmsSettings): readonly FileAsset[] {
  const present = pluginsOf(cluster);
  const taken = present.flatMap((plugin) => plugin.ports);
  return plugins.map((plugin) => {
    const kept = present.find((other) => isAssetOf(plugin, other.asset) && isOurAsset(other.asset))?.ports[0];
    const port = kept ?? freeHealthPort(taken);
    taken.push(port);
    return pluginAsset(plugin, image, roles, port);
  });
}

/** The cluster without these plugins, and without hooks that were there for their sockets alone. */
export function withoutPlugins(cluster: KopsCluster, leaving: readonly AssetPlugin[]): KopsCluster {
  if (leaving.length === 0) return cluster;
  const assets = cluster.spec.fileAssets ?? [];
  const hooks = cluster.spec.hooks ?? [];
  const staying = pluginsOf(cluster).filter((plugin) => !leaving.some((other) => other.asset === plugin.asset));
  const used = new Set(staying.flatMap((plugin) => plugin.sockets.map(directoryOf)));
  const unused = leaving.flatMap((plugin) => plugin.sockets.map(directoryOf)).filter((folder) => !used.has(folder));
  return withSpec(cluster, {
    ...cluster.spec,
    ...listField(
      "fileAssets",
      assets.filter((asset) => !leaving.some((plugin) => plugin.asset === asset)),
      assets,
    ),
    ...listField(
      "hooks",
      hooks.filter((hook) => !unused.some((folder) => mounts(hook, folder))),
      hooks,
    ),
  });
}

/**
 * Whether taking a plugin away, or a hook that is there for its sockets alone, would change machines of these groups too: kOps gives what
 * names no role to all machines.
 */
export function isOfGroups(cluster: KopsCluster, plugin: AssetPlugin, groups: readonly InstanceGroup[]): boolean {
  const folders = plugin.sockets.map(directoryOf);
  const hooks = (cluster.spec.hooks ?? []).filter((hook) => folders.some((folder) => mounts(hook, folder)));
  return [plugin.asset, ...hooks].some(({ roles }) =>
    groups.some(({ role }) => !Array.isArray(roles) || roles.length === 0 || roles.includes(role)),
  );
}

/** Every KMS plugin that the cluster-wide assets run, ours and others'. */
export function pluginsOf(cluster: KopsCluster): readonly AssetPlugin[] {
  return (cluster.spec.fileAssets ?? []).flatMap((asset) => readAssetPlugin(asset) ?? []);
}

/** The asset of one of our plugins, whatever it says now. */
export function isAssetOf(plugin: PluginInstance, asset: FileAsset): boolean {
  return asset.name === assetName(plugin);
}

/** Ours has our component label; its name alone could be anybody's. */
export function isOurAsset(asset: FileAsset): boolean {
  return readAssetPlugin(asset) !== undefined && (assetText(asset) ?? "").includes(`component: ${pluginComponent}\n`);
}

/**
 * The upstream guide has a hook put the sockets' folder into the API server's manifest. Folders that machines have anyway are in
 * many a hook for other reasons.
 */
function mounts(hook: Hook, folder: string): boolean {
  return folder.startsWith("/var/run/kms") && JSON.stringify(hook).includes(folder);
}

function directoryOf(socket: string): string {
  return socket.slice(0, socket.lastIndexOf("/"));
}

function policies(cluster: KopsCluster, { statements, roles }: KmsSettings): Partial<ClusterSpec> {
  if (statements === undefined) return {};
  const present = cluster.spec.additionalPolicies ?? {};
  const changed: Record<string, string> = { ...present };
  for (const role of roles) {
    const key = policyKeys[cluster.apiVersion]?.[role];
    if (key === undefined) continue;
    const others = parseStatements(present[key]).filter((statement) => !(statement.Sid ?? "").startsWith(ourStatement));
    const all = [...others, ...statements];
    // What is right already keeps its very text: spaces would show as a change.
    if (sameJson(parseStatements(present[key]), all)) continue;
    if (all.length === 0) Reflect.deleteProperty(changed, key);
    else changed[key] = JSON.stringify(all);
  }
  return Object.keys(changed).length === 0 && cluster.spec.additionalPolicies === undefined
    ? {}
    : { additionalPolicies: changed };
}

/** kOps itself refuses what is no JSON list, so there is none in a store. */
function parseStatements(text: string | undefined): readonly PolicyStatement[] {
  return text === undefined ? [] : (JSON.parse(text) as readonly PolicyStatement[]);
}

function listField<Name extends "fileAssets" | "hooks", Entry>(
  name: Name,
  entries: readonly Entry[],
  present: readonly Entry[],
): Partial<Record<Name, readonly Entry[] | undefined>> {
  if (entries.length === 0 && present.length === 0) return {};
  return { [name]: entries.length === 0 ? undefined : entries } as Partial<Record<Name, readonly Entry[] | undefined>>;
}

function withSpec(cluster: KopsCluster, spec: Readonly<Record<string, unknown>>): KopsCluster {
  const fields = Object.entries(spec).filter(([, value]) => value !== undefined);
  return { ...cluster, spec: Object.fromEntries(fields) };
}

function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
