/** A user-assigned managed identity: what a cluster is, in the eyes of a vault. */
import * as pulumi from "@pulumi/pulumi";
import { typeTokens } from "../../core/type-tokens";
import { loadAzureNative } from "./azure-native";

/** The inputs of an AzureKeyIdentity. */
export interface AzureKeyIdentityArgs {
  /** Resource group of the identity. Another one later makes another identity. */
  readonly resourceGroupName: pulumi.Input<string>;
  /** Region of the identity. */
  readonly location: pulumi.Input<string>;
  /**
   * Name of the identity. Another one later makes another identity, and a cluster goes on as the earlier one for hours.
   * @default a name that Pulumi makes of the component's name
   */
  readonly identityName?: pulumi.Input<string>;
  /**
   * Keep Pulumi from deleting the identity by mistake: without it the cluster can't read its Secrets.
   * @default true
   */
  readonly protectIdentity?: boolean;
}

/** A user-assigned managed identity for a cluster. It can have its access to a vault before the cluster exists, as a system-assigned one can't. */
export class AzureKeyIdentity extends pulumi.ComponentResource {
  /** Resource id of the identity: what a cluster or a virtual machine is given. */
  readonly identityId: pulumi.Output<string>;
  /** Object id of the identity: what access is granted to. */
  readonly objectId: pulumi.Output<string>;
  /** Client id of the identity: what azure.json names it by. Never grant access to it. */
  readonly clientId: pulumi.Output<string>;

  constructor(name: string, args: AzureKeyIdentityArgs, opts?: pulumi.ComponentResourceOptions) {
    super(typeTokens.azureKeyIdentity, name, args, opts);
    const { UserAssignedIdentity } = loadAzureNative();
    const identity = new UserAssignedIdentity(
      name,
      {
        resourceGroupName: args.resourceGroupName,
        location: args.location,
        ...(args.identityName === undefined ? {} : { resourceName: args.identityName }),
      },
      { parent: this, protect: args.protectIdentity ?? true },
    );
    this.identityId = identity.id;
    this.objectId = identity.principalId;
    this.clientId = identity.clientId;
    this.registerOutputs({ identityId: this.identityId, objectId: this.objectId, clientId: this.clientId });
  }
}
