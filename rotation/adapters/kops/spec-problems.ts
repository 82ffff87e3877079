/**
 * What kOps itself accepts and its machines can't use, so that a roll would end with API servers that don't start. Refused before
 * anything is changed (kops validation.go checks a file asset's name and content only).
 */
import { assetPath, type FileAsset, type InstanceGroup, type KopsCluster } from "./cluster-spec";
import { isAssetOf, isOurAsset, type KmsSettings } from "./merge-cluster-spec";
import { assetName, manifestDirectory } from "./plugin-asset";
import { isUnpaddedBase64 } from "./plugin-manifest-reader";

export interface SpecProblem {
  /** Where in the documents: `spec.fileAssets[2].roles`. */
  readonly path: string;
  readonly reason: string;
  readonly remedy: string;
}

const knownRoles = ["ControlPlane", "APIServer", "Node", "Bastion", "Etcd", "Scheduler", "KubeControllerManager"];

/** Problems of the spec as it is, and as `settings` would make it. */
export function specProblems(
  cluster: KopsCluster,
  groups: readonly InstanceGroup[],
  settings: KmsSettings,
): readonly SpecProblem[] {
  const assets = (cluster.spec.fileAssets ?? []).map((asset, index) => ({
    asset,
    path: `spec.fileAssets[${index}]`,
  }));
  const groupAssets = groups.flatMap((group) =>
    group.fileAssets.map((asset, index) => ({
      asset,
      path: `instance group ${group.name}, spec.fileAssets[${index}]`,
    })),
  );
  return [
    ...assets.filter(({ asset }) => !isOurAsset(asset)).flatMap(({ asset, path }) => assetProblems(asset, path)),
    ...groupAssets.flatMap(({ asset, path }) => overrideProblems(asset, path, settings)),
    ...otherRouteProblems(cluster),
    ...nameProblems(assets, settings),
    ...registryProblems(cluster, settings),
  ];
}

/** Of a static pod, because a control plane may depend on it; what other files say is nobody's business here. */
function assetProblems(asset: FileAsset, path: string): readonly SpecProblem[] {
  if (!assetPath(asset).startsWith(`${manifestDirectory}/`)) return [];
  const unknownRole = asset.roles?.find((role) => !knownRoles.includes(role));
  if (unknownRole !== undefined) {
    const meant = unknownRole.toLowerCase() === "master" ? "ControlPlane" : `one of ${knownRoles.join(", ")}`;
    return [
      {
        path: `${path}.roles`,
        reason: `names ${unknownRole}: kOps takes it, and no machine has that role since 1.26, so ${asset.name} is nowhere`,
        remedy: `write ${meant}`,
      },
    ];
  }
  if (asset.isBase64 === true && !isUnpaddedBase64(asset.content)) {
    return [
      {
        path: `${path}.content`,
        reason: `is not the base64 that machines decode (no "=" at its end, no "-" or "_"): they would not come up`,
        remedy: "write it without padding, or as plain text without isBase64",
      },
    ];
  }
  return [];
}

/** A group's asset wins over the cluster's at the same path (kops pkg/apis/nodeup/config.go). */
function overrideProblems(asset: FileAsset, path: string, settings: KmsSettings): readonly SpecProblem[] {
  const hidden = settings.plugins.find((plugin) => assetPath(asset) === `${manifestDirectory}/${assetName(plugin)}`);
  if (hidden === undefined) return [];
  return [
    {
      path,
      reason: `stands at ${assetPath(asset)} in the place of the plugin ${hidden.name}`,
      remedy: "remove it from the instance group",
    },
  ];
}

/** The other way to give API servers a configuration, which `encryptionConfig: true` would override without a word. */
function otherRouteProblems(cluster: KopsCluster): readonly SpecProblem[] {
  const server = cluster.spec["kubeAPIServer"];
  const names = ["encryptionProviderConfig", "experimentalEncryptionProviderConfig"];
  const file = names.find((name) => typeof server === "object" && server !== null && name in server);
  if (file === undefined || cluster.spec.encryptionConfig === true) return [];
  return [
    {
      path: `spec.kubeAPIServer.${file}`,
      reason: "names a configuration file of its own, which the encryptionconfig secret would replace unread",
      remedy:
        "store that file's text by `kops create secret encryptionconfig -f FILE`, set spec.encryptionConfig: true, remove this field, and roll once",
    },
  ];
}

type Located = readonly { readonly asset: FileAsset; readonly path: string }[];

function nameProblems(assets: Located, { plugins }: KmsSettings): readonly SpecProblem[] {
  return assets
    .filter(({ asset }) => !isOurAsset(asset) && plugins.some((plugin) => isAssetOf(plugin, asset)))
    .map(({ asset, path }) => ({
      path: `${path}.name`,
      reason: `is ${asset.name}, a name of ours, but the file is not one that was made here`,
      remedy: "rename it, or remove it",
    }));
}

/** Machines may pull from a private registry of AWS only where the spec says so. */
function registryProblems(cluster: KopsCluster, { image }: KmsSettings): readonly SpecProblem[] {
  const iam = cluster.spec["iam"] as { readonly allowContainerRegistry?: unknown } | undefined;
  if (!/^\d{12}\.dkr\.ecr\./.test(image.image) || iam?.allowContainerRegistry === true) return [];
  return [
    {
      path: "spec.iam.allowContainerRegistry",
      reason: `is not true, so machines can't pull ${image.image}`,
      remedy: "set it to true with `kops edit cluster`",
    },
  ];
}
