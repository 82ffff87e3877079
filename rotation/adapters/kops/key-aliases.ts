/**
 * Aliases that plugins made by hand name their keys by. aws-encryption-provider reports the very text of `--key` as its key_id, so an alias that
 * is moved changes the key and nothing tells of it: what was stored before stays with a key that nobody names any more.
 */
import { type EncryptionConfiguration, endpointsOf } from "../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../core/errors";
import type { AwsKeyNames } from "../aws/aws-key-names";
import { isKeyAlias, regionOfAlias, withKeyArns } from "../aws/with-key-arns";
import type { FileAsset, InstanceGroup, KopsCluster } from "./cluster-spec";
import type { AliasSeen } from "./kops-observation";
import { isOurAsset, pluginsOf } from "./merge-cluster-spec";
import { type AssetPlugin, assetText, readAssetPlugin } from "./plugin-manifest-reader";

/** Asks KMS for each alias that a plugin of the secret has. Never throws for what KMS says: that stands in the answer. */
export async function seeAliases(
  cluster: KopsCluster,
  groups: readonly InstanceGroup[],
  config: EncryptionConfiguration | undefined,
  names: () => AwsKeyNames,
  signal: AbortSignal,
): Promise<readonly AliasSeen[]> {
  const named = endpointsOf(config ?? { blocks: [] });
  const own = groups.flatMap(({ name: group, fileAssets }) =>
    fileAssets.flatMap((asset) => {
      const plugin = readAssetPlugin(asset);
      return plugin === undefined ? [] : [{ plugin, group }];
    }),
  );
  const all = [...pluginsOf(cluster).map((plugin) => ({ plugin, group: undefined })), ...own].filter(
    ({ plugin }) => !isOurAsset(plugin.asset) && plugin.sockets.some((socket) => named.has(`unix://${socket}`)),
  );
  const aliases = all.flatMap(({ plugin, group }) =>
    [...new Set(plugin.keys.filter(isKeyAlias))].map((alias) => ({ plugin, group, alias })),
  );
  return Promise.all(
    aliases.map(async ({ plugin, group, alias }): Promise<AliasSeen> => {
      const seen = { plugin: plugin.name, asset: plugin.asset, alias, ...(group !== undefined && { group }) };
      try {
        return { ...seen, arn: await names().arnOf(alias, regionOf(alias, plugin, cluster), signal) };
      } catch (thrown) {
        if (signal.aborted || !(thrown instanceof KmsEtcdError)) throw thrown;
        const remedy = thrown.remedy ?? "see what `aws kms describe-key` says of it, then run again";
        return { ...seen, arn: undefined, problem: { reason: thrown.message, remedy } };
      }
    }),
  );
}

/** Where the plugin looks for the key: as its alias or its flags say, else in the machine's own region. */
function regionOf(alias: string, { region, name }: AssetPlugin, { spec }: KopsCluster): string {
  const subnets = Array.isArray(spec["subnets"]) ? (spec["subnets"] as readonly { readonly zone?: unknown }[]) : [];
  const zones = subnets.flatMap(({ zone }) => (typeof zone === "string" ? zone : []));
  // "us-east-1a"; a local zone, "us-west-2-lax-1a", has its region in front too.
  const ofMachines = zones.map((zone) => /^[a-z]+(?:-[a-z]+)+-\d/.exec(zone)?.[0]).find((found) => found !== undefined);
  const found = [regionOfAlias(alias), region, ofMachines].find(
    (candidate) => candidate !== undefined && candidate !== "",
  );
  if (found !== undefined) return found;
  throw new KmsEtcdError("invalid-input", `the plugin ${name} names its key by ${alias} and no region`, {
    remedy: "write --region=REGION into its manifest (kops edit cluster), or the key's ARN in the alias's place",
  });
}

/** The asset with ARNs in the place of aliases, and not a letter else changed; undefined where its text can't be edited so. */
export function withArns(asset: FileAsset, arns: ReadonlyMap<string, string>): FileAsset | undefined {
  const text = assetText(asset);
  if (text === undefined) return undefined;
  const content = withKeyArns(text, arns);
  if (content === undefined) return undefined;
  // As nodeup decodes it: without padding.
  const kept = asset.isBase64 === true ? Buffer.from(content).toString("base64").replace(/=+$/, "") : content;
  const changed = { ...asset, content: kept };
  const keys = readAssetPlugin(asset)?.keys.map((key) => arns.get(key) ?? key);
  return JSON.stringify(readAssetPlugin(changed)?.keys) === JSON.stringify(keys) ? changed : undefined;
}
