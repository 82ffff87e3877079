/**
 * From the names that an EncryptionConfiguration uses ("secrets", "pandas.example.com", "*.apps", "*.", "*.*") to what the
 * API servers serve. A configured resource that is not served is an error that names it; any other API group may be broken
 * without being in the way.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { ApiClient } from "./api-client";
import { itemsOf, type KubernetesList } from "./kubernetes-list";

export interface ServedResource {
  /** As an EncryptionConfiguration names it, without wildcards. */
  readonly name: string;
  readonly group: string;
  /** `/api/v1` or `/apis/<group>/<version>`. */
  readonly base: string;
  /** Plural, as in paths. */
  readonly plural: string;
  readonly namespaced: boolean;
}

interface Discovery {
  readonly kind: string;
  readonly items?: readonly {
    readonly metadata?: { readonly name?: string };
    readonly versions?: readonly {
      readonly version: string;
      readonly freshness?: string;
      readonly resources?: readonly {
        readonly resource: string;
        readonly scope: string;
        readonly verbs: readonly string[];
      }[];
    }[];
  }[];
}

// Aggregated discovery, v2 since 1.30 and v2beta1 since 1.27: two requests for everything that is served.
const discoveryAccept = ["v2", "v2beta1"]
  .map((version) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`)
  .join(",");

/** What the API servers serve, and what they only pass on. */
export interface DiscoveredResources {
  /** Everything that can be listed and patched, one version of each. */
  readonly served: readonly ServedResource[];
  /** Names of what aggregated API servers serve, which store it themselves, encrypted or not: not ours to rewrite. */
  readonly aggregated: readonly string[];
}

export async function discoverResources(client: ApiClient, signal: AbortSignal): Promise<DiscoveredResources> {
  const answers = await Promise.all(
    ["/api", "/apis"].map((path) => client.get<Discovery>(path, discoveryAccept, signal)),
  );
  const elsewhere = await aggregatedGroups(client, signal);
  const found = new Map<string, ServedResource>();
  const aggregated = new Set<string>();
  for (const answer of answers) {
    if (answer.kind !== "APIGroupDiscoveryList") {
      throw new KmsEtcdError("unsupported", `${client.name} does not offer aggregated discovery`, {
        remedy: "use Kubernetes 1.27 or later",
      });
    }
    for (const item of answer.items ?? []) {
      const group = item.metadata?.name ?? "";
      for (const { version, resources } of item.versions ?? []) {
        // One that does not answer lists nothing.
        if (elsewhere.has(`${group}/${version}`) && (resources ?? []).length === 0) aggregated.add(`*.${group}`);
        const base = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
        for (const { resource, scope, verbs } of resources ?? []) {
          const name = group === "" ? resource : `${resource}.${group}`;
          // Preferred version first: the first one that has the resource is taken, they are all stored as one.
          if (elsewhere.has(`${group}/${version}`)) {
            aggregated.add(name);
            continue;
          }
          if (found.has(name) || !verbs.includes("list") || !verbs.includes("patch")) continue;
          found.set(name, { name, group, base, plural: resource, namespaced: scope === "Namespaced" });
        }
      }
    }
  }
  // Served twice, stored once: core events and events.k8s.io.
  if (found.has("events")) found.delete("events.events.k8s.io");
  return { served: [...found.values()], aggregated: [...aggregated].filter((name) => !found.has(name)).sort() };
}

/**
 * What each configured name stands for. An exact name wins over `*.group`, and that over `*.*`, as when an API server
 * looks for a resource's transformer (apiserver encryptionconfig/config.go). Throws `not-found` for one that is not served,
 * unless it is among `unserved`: custom resources that exist, but of which no version is served.
 */
export function expandResources(
  names: readonly string[],
  { served, aggregated }: DiscoveredResources,
  unserved: readonly string[] = [],
): ReadonlyMap<string, readonly ServedResource[]> {
  const exact = new Set(names.filter((name) => !name.startsWith("*.")));
  const groups = new Set(names.filter((name) => name.startsWith("*.") && name !== "*.*").map((name) => name.slice(2)));
  const expanded = new Map<string, readonly ServedResource[]>();
  for (const name of names) {
    const matches = served.filter((resource) => {
      if (!name.startsWith("*.")) return resource.name === name;
      if (exact.has(resource.name)) return false;
      return name === "*.*" ? !groups.has(resource.group) : resource.group === name.slice(2);
    });
    const exists = name === "*.*" || unserved.some((kind) => covers(name, kind));
    if (matches.length === 0 && !exists) throw notServed(name, aggregated);
    expanded.set(name, matches);
  }
  return expanded;
}

/** Whether a configured name stands for `resource`, be it by a wildcard. */
export function covers(name: string, resource: string): boolean {
  const dot = resource.indexOf(".");
  const group = dot < 0 ? "" : resource.slice(dot + 1);
  return name === resource || name === "*.*" || name === `*.${group}`;
}

function notServed(name: string, aggregated: readonly string[]): KmsEtcdError {
  const elsewhere = aggregated.filter((resource) => covers(name, resource) || covers(resource, name));
  if (elsewhere.length > 0) {
    const what = elsewhere.length === 1 && elsewhere[0] === name ? "" : ` (${elsewhere.join(", ")})`;
    return new KmsEtcdError(
      "not-found",
      `"${name}"${what} is served by an aggregated API server, which stores it itself`,
      {
        remedy: "leave it out of resources, and set up encryption in that API server",
      },
    );
  }
  return new KmsEtcdError("not-found", `the API servers do not serve "${name}", so its objects cannot be seen`, {
    remedy:
      "check the spelling (for a custom resource: plural.group), whether its CRD is there, and whether its group is enabled",
  });
}

/** The path of all objects, or of one. */
export function resourcePath(
  resource: ServedResource,
  object?: { readonly namespace: string; readonly name: string },
): string {
  if (object === undefined) return `${resource.base}/${resource.plural}`;
  const namespace = resource.namespaced ? `/namespaces/${encodeURIComponent(object.namespace)}` : "";
  return `${resource.base}${namespace}/${resource.plural}/${encodeURIComponent(object.name)}`;
}

type ApiServices = KubernetesList<{
  readonly spec?: { readonly group?: string; readonly version?: string; readonly service?: unknown };
}>;

async function aggregatedGroups(client: ApiClient, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const services = await client.get<ApiServices>(
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "application/json",
    signal,
  );
  return new Set(
    itemsOf(services)
      .filter((item) => item.spec?.service != null)
      .map((item) => `${item.spec?.group ?? ""}/${item.spec?.version ?? ""}`),
  );
}
