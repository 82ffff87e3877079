/** Custom resources that exist but that no API server offers to anyone: only etcd knows whether objects are left. */
import type { ApiClient } from "./api-client";
import { itemsOf, type KubernetesList } from "./kubernetes-list";

type Definitions = KubernetesList<{
  readonly metadata: { readonly name: string };
  readonly spec: { readonly versions: readonly { readonly served: boolean }[] };
}>;

/** Definitions hold schemas of many kilobytes each. */
const pageSize = 50;

/** `plural.group` of each definition without a served version. */
export async function unservedKinds(client: ApiClient, signal: AbortSignal): Promise<readonly string[]> {
  const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions?limit=${pageSize}`;
  const unserved: string[] = [];
  let token = "";
  do {
    const more = token === "" ? "" : `&continue=${encodeURIComponent(token)}`;
    const definitions = await client.get<Definitions>(path + more, "application/json", signal);
    for (const { metadata, spec } of itemsOf(definitions)) {
      if (spec.versions.every((version) => !version.served)) unserved.push(metadata.name);
    }
    token = definitions.metadata?.continue ?? "";
  } while (token !== "");
  return unserved;
}
