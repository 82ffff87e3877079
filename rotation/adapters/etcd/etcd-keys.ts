/**
 * Where API servers keep a resource in etcd, below --etcd-prefix. Known without asking them, because what is stored must be
 * countable when no API server is up. Rules: kubernetes pkg/kubeapiserver/default_storage_factory_builder.go,
 * apiextensions-apiserver customresource_handler.go (read at v1.36.3).
 */

/** Groups that kube-apiserver itself serves: their resources are kept under the bare plural. All others have the group first. */
const builtInGroups: ReadonlySet<string> = new Set([
  "",
  "admissionregistration.k8s.io",
  "apps",
  "authentication.k8s.io",
  "authorization.k8s.io",
  "autoscaling",
  "batch",
  "certificates.k8s.io",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
  "extensions",
  "flowcontrol.apiserver.k8s.io",
  "internal.apiserver.k8s.io",
  "networking.k8s.io",
  "node.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "resource.k8s.io",
  "scheduling.k8s.io",
  "storage.k8s.io",
  "storagemigration.k8s.io",
]);

const exceptions: Readonly<Record<string, string>> = {
  replicationcontrollers: "controllers",
  endpoints: "services/endpoints",
  nodes: "minions",
  services: "services/specs",
  "ingresses.extensions": "ingress",
  "ingresses.networking.k8s.io": "ingress",
};

/** Below the prefix, but no objects of the API: API servers never encrypt them (kubernetes TestEncryptAll). */
export const notObjects = ["masterleases/", "peerserverleases/", "ranges/serviceips", "ranges/servicenodeports"];

/** The prefix of all keys of one resource, for example `/registry/secrets/`. `resource` is no wildcard. */
export function resourceKeyPrefix(resource: string, etcdPrefix: string): string {
  const root = rootOf(etcdPrefix);
  const exception = exceptions[resource];
  if (exception !== undefined) return `${root}${exception}/`;
  const dot = resource.indexOf(".");
  const plural = dot < 0 ? resource : resource.slice(0, dot);
  const group = dot < 0 ? "" : resource.slice(dot + 1);
  return builtInGroups.has(group) ? `${root}${plural}/` : `${root}${group}/${plural}/`;
}

/** `*.` or `*.<built-in group>`: only API servers know which kinds are of the group. */
export function isBuiltInWildcard(name: string): boolean {
  return name.startsWith("*.") && name !== "*.*" && builtInGroups.has(name.slice(2));
}

export interface KeyRange {
  readonly prefix: string;
  /** Prefixes inside it that are passed over. */
  readonly except: readonly string[];
  /** The resource whose own etcd this is in (--etcd-servers-overrides); undefined: the one for everything else. */
  readonly override?: string;
}

/**
 * What must be scanned for each configured name. `expand` says what `*.` and `*.<built-in group>` stand for, which only API
 * servers know; the others need none. A key that a more exact name covers is left to it. `overrides` names the resources that
 * have an etcd of their own: what is left of them in the other one, API servers do not look at.
 */
export function keyRanges(
  names: readonly string[],
  etcdPrefix: string,
  expand: (wildcard: string) => readonly string[],
  overrides: readonly string[] = [],
): ReadonlyMap<string, readonly KeyRange[]> {
  const root = rootOf(etcdPrefix);
  const exactNames = names.filter((name) => !name.startsWith("*."));
  const exact = exactNames.map((name) => resourceKeyPrefix(name, etcdPrefix));
  const rangeOf = (resource: string): KeyRange => ({
    prefix: resourceKeyPrefix(resource, etcdPrefix),
    except: [],
    ...(overrides.includes(resource) && { override: resource }),
  });
  const grouped = new Map<string, readonly KeyRange[]>();
  for (const name of names.filter((candidate) => candidate.startsWith("*.") && candidate !== "*.*")) {
    const group = name.slice(2);
    // Everything of a custom group, with the kinds that no version serves any more.
    if (!builtInGroups.has(group)) grouped.set(name, [{ prefix: `${root}${group}/`, except: exact }]);
    else
      grouped.set(
        name,
        expand(name)
          .map(rangeOf)
          .filter(({ prefix }) => !exact.includes(prefix)),
      );
  }
  const covered = [...exact, ...[...grouped.values()].flat().map((range) => range.prefix)];
  const apart = overrides.map(rangeOf);
  return new Map(
    names.map((name): [string, readonly KeyRange[]] => {
      if (name !== "*.*") return [name, grouped.get(name) ?? [rangeOf(name)]];
      const except = [...covered, ...apart.map(({ prefix }) => prefix), ...notObjects.map((path) => root + path)];
      return [name, [{ prefix: root, except }, ...apart.filter(({ prefix }) => !covered.includes(prefix))]];
    }),
  );
}

/** API servers add the slash in front, and take a prefix with or without one at the end. */
export function rootOf(etcdPrefix: string): string {
  return `/${etcdPrefix.replace(/^\/+|\/+$/g, "")}/`;
}
