/** --etcd-prefix and --etcd-servers-overrides, from the manifests of the API servers themselves. */
import { KmsEtcdError } from "../../../core/errors";
import { defaultLayout, type EtcdLayout, parseEtcdOverrides } from "../etcd/etcd-layout";
import { flagValue } from "./manifest";
import { apiServerDefinition, type DefinedAt } from "./read-api-server";

/**
 * What every host's manifest says; a host without one says nothing. Throws `invalid-input` where two say different things: then
 * one etcd or one prefix would be looked at for both.
 */
export async function etcdLayoutOf(hosts: readonly DefinedAt[]): Promise<Partial<EtcdLayout>> {
  const found: { readonly name: string; readonly layout: EtcdLayout }[] = [];
  for (const at of hosts) {
    const manifest = (await apiServerDefinition(at))?.manifest;
    if (manifest === undefined) continue;
    const layout = {
      prefix: flagValue(manifest, "etcd-prefix") ?? defaultLayout.prefix,
      overrides: parseEtcdOverrides(flagValue(manifest, "etcd-servers-overrides") ?? ""),
    };
    found.push({ name: at.host.name, layout });
  }
  const [first, ...rest] = found;
  const other = rest.find(({ layout }) => JSON.stringify(layout) !== JSON.stringify(first?.layout));
  if (first !== undefined && other !== undefined) {
    throw new KmsEtcdError(
      "invalid-input",
      `${first.name} and ${other.name} have different --etcd-prefix or --etcd-servers-overrides`,
      { remedy: "give all API servers the same flags" },
    );
  }
  return first?.layout ?? {};
}
