/** The block that names a cluster of AKS, whose API servers and etcd are in Azure's hands. */
import * as pulumi from "@pulumi/pulumi";
import type { AksCredential } from "../../core/aks-credential";
import type { AksEncryptionMode } from "../../core/aks-encryption-mode";
import type { AksReach } from "../../core/aks-reach";
import { isKnownLater } from "../known-later";

/** How the API servers of a cluster of AKS are talked to: Secrets are written again through them. */
export interface AksKubernetesArgs {
  /**
   * Text of a kubeconfig with a client certificate or a token, not its path. It must be allowed to get, list and patch Secrets of all
   * namespaces.
   * @default the one that ARM gives, by `credential`
   * @secret
   */
  readonly kubeconfig?: pulumi.Input<string>;
  /**
   * Which kubeconfig ARM is asked for.
   * @default "Admin", and "User" where the cluster has its local accounts disabled
   */
  readonly credential?: pulumi.Input<AksCredential>;
  /**
   * By which way. `RunCommand` needs no way from here to the API servers of a private cluster: AKS runs the rewrite in the cluster, as its
   * administrator or, with Entra ID, as whoever runs Pulumi. It takes the cluster's command feature and the rights to use it.
   * @default "Direct"
   */
  readonly reach?: pulumi.Input<AksReach>;
}

/** How long is waited for AKS, in seconds. Changing one changes nothing in the cluster. */
export interface AksLimitsArgs {
  /**
   * How long the API servers may take to answer, after an operation that failed among others.
   * @default 900
   */
  readonly apiSeconds?: pulumi.Input<number>;
  /**
   * How long AKS may be at work on the cluster: with an operation of somebody else's before the update can begin, and with each change of
   * the update's own.
   * @default 3600
   */
  readonly busySeconds?: pulumi.Input<number>;
  /**
   * How long a grant may take until AKS sees it.
   * @default 900
   */
  readonly grantSeconds?: pulumi.Input<number>;
  /**
   * How long a request may still be under way that began before AKS had changed its API servers. Nothing is proven before that is over.
   * @default 60
   */
  readonly settleSeconds?: pulumi.Input<number>;
}

/**
 * A cluster of AKS: of this program, of another stack, or known by its id only. Its KMS settings are changed by GET, merge and PUT, and nothing
 * else of it is. Whoever declares the cluster as an azure-native ManagedCluster lets `ignoreChanges` name
 * `securityProfile`, or `securityProfile.azureKeyVaultKms` where the program sets other parts of it, so that nobody else sets them.
 */
export interface AksPlatformArgs {
  /** Resource id of the cluster. Another one later leaves the earlier cluster's settings as they are. */
  readonly clusterId: pulumi.Input<string>;
  /**
   * How AKS encrypts. Platform-managed keys take no block that names a key, and both modes of KMS data encryption take no `keyVersion`: the
   * platform rotates.
   * @default "KmsPlugin"
   */
  readonly mode?: AksEncryptionMode;
  /**
   * Resource id of the user-assigned identity that the cluster runs as. It is granted the keys' use in the vault of `azureKeyVault`, and, for a
   * private vault, to connect to it. Without it the grants are yours to make (`keyUsers`).
   */
  readonly identityId?: pulumi.Input<string>;
  /**
   * Resource id of the vault that has the key of `keyVersion`, where `azureKeyVault.keyIds` names that key in another vault than the block's.
   * A private vault needs it. The grants in it, and its network, are yours to make.
   * @default the vault of `azureKeyVault`
   */
  readonly vaultId?: pulumi.Input<string>;
  /** How the API servers are talked to. */
  readonly kubernetes?: pulumi.Input<AksKubernetesArgs>;
  /** How long is waited for AKS. */
  readonly limits?: pulumi.Input<AksLimitsArgs>;
}

/** The part `kubernetes` with its secret marked, wherever it is a plain object; the provider marks the others. */
export function withKubeconfigSecret({
  kubernetes,
}: Pick<AksPlatformArgs, "kubernetes">): Pick<AksPlatformArgs, "kubernetes"> {
  if (kubernetes === undefined || isKnownLater(kubernetes)) return {};
  const { kubeconfig } = kubernetes;
  return kubeconfig === undefined ? {} : { kubernetes: { ...kubernetes, kubeconfig: pulumi.secret(kubeconfig) } };
}
