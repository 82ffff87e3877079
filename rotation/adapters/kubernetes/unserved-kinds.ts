/** Custom resources that exist but that no API server offers to anyone: only etcd knows whether objects are left. */
import type { ApiClient } from "./api-client";

interface Definitions {
  readonly metadata?: { readonly continue?: string };
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly versions: readonly { readonly served: boolean }[] };
  }[];
}

/** Definitions hold schemas of many kilobytes each. */
const pageSize = 50;

/** `plural.group` of each definition without a served version. */
export async function unservedKinds(client: ApiClient, signal: AbortSignal): Promise<readonly string[]> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=${pageSize}`;
  const unserved: string[] = [];
  let token = "";
  do {
    const more = token === "" ? "" : `&continue=${encodeURIComponent(token)}`;
    const { items, metadata } = await client.get<Definitions>(path + more, "application/json", signal);
    for (const { metadata: definition, spec } of items) {
      if (spec.versions.every((version) => !version.served)) unserved.push(definition.name);
    }
    token = metadata?.continue ?? "";
  } while (token !== "");
  return unserved;
}
