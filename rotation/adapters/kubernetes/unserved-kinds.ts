/** Custom resources that a wildcard covers but that no API server offers to anyone: only etcd knows whether objects are left. */
import type { ApiClient } from "./api-client";

interface Definitions {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly group: string; readonly versions: readonly { readonly served: boolean }[] };
  }[];
}

/** In words; none where no wildcard was given, or all is served. */
export async function unservedKinds(
  client: ApiClient,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const wildcards = names.filter((name) => name.startsWith("*."));
  if (wildcards.length === 0) return [];
  const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  const { items } = await client.get<Definitions>(path, "application/json", signal);
  const unserved = items.filter(
    ({ spec }) =>
      spec.versions.every((version) => !version.served) &&
      wildcards.some((wildcard) => wildcard === "*.*" || wildcard === `*.${spec.group}`),
  );
  return [
    ...unserved.map(({ metadata }) => `${metadata.name}: no version of it is served`),
    ...(wildcards.includes("*.*") ? ["objects of API groups that are switched off"] : []),
  ];
}
