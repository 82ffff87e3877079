/** The component types that Construct can make. Loaded in its worker only: it takes the SDK and all components with it. */
import type * as pulumi from "@pulumi/pulumi";
import * as components from "../components";
import { typeTokens } from "../core/type-tokens";

type Component = new (name: string, args: never, options: pulumi.ComponentResourceOptions) => pulumi.ComponentResource;

/** Component types, with the outputs that the schema says. */
export const constructTypes: Readonly<
  Record<string, { readonly make: Component; readonly outputs: readonly string[] }>
> = {
  [typeTokens.awsKeyAccess]: { make: components.AwsKeyAccess, outputs: ["policy", "statements"] },
  [typeTokens.awsKeyAlarm]: { make: components.AwsKeyAlarm, outputs: ["deniedAlarmArn", "throttledAlarmArn"] },
  [typeTokens.awsKmsEndpoint]: { make: components.AwsKmsEndpoint, outputs: ["endpointId"] },
  [typeTokens.awsKmsKey]: { make: components.AwsKmsKey, outputs: ["keyArns", "createdAt"] },
  [typeTokens.azureKeyIdentity]: {
    make: components.AzureKeyIdentity,
    outputs: ["identityId", "objectId", "clientId"],
  },
  [typeTokens.azureKeyMonitoring]: {
    make: components.AzureKeyMonitoring,
    outputs: ["refusedAlertId", "throttledAlertId", "expiryAlertId"],
  },
  [typeTokens.azureKeyVaultKey]: { make: components.AzureKeyVaultKey, outputs: ["keyIds", "createdAt", "vaultId"] },
  [typeTokens.controlPlaneBootstrap]: {
    make: components.ControlPlaneBootstrap,
    outputs: ["cloudInit", "kubeadmInit", "kubeadmJoin"],
  },
  [typeTokens.keyAccess]: { make: components.KeyAccess, outputs: ["vaultId"] },
  [typeTokens.kmsEtcdEncryption]: {
    make: components.KmsEtcdEncryption,
    outputs: ["activeKeyVersion", "atGoal", "evidence", "report"],
  },
  [typeTokens.kmsPluginStaticPod]: {
    make: components.KmsPluginStaticPod,
    outputs: ["manifest", "fileName", "endpoint", "providerName"],
  },
  [typeTokens.pluginImage]: { make: components.PluginImage, outputs: ["ref"] },
  [typeTokens.vaultPrivateEndpoint]: { make: components.VaultPrivateEndpoint, outputs: ["privateEndpointId"] },
};
