/** A principal of Entra ID, looked up by the provider before anything is granted to it. */
import * as pulumi from "@pulumi/pulumi";
import { typeTokens } from "../../core/type-tokens";

/** What kind of principal an object id is. */
export const AzurePrincipalKind = {
  /** A service principal, or a managed identity. */
  ServicePrincipal: "ServicePrincipal",
  /** A person. */
  User: "User",
  /** A group. */
  Group: "Group",
} as const;
export type AzurePrincipalKind = (typeof AzurePrincipalKind)[keyof typeof AzurePrincipalKind];

/** The inputs of an AzurePrincipal. */
export interface AzurePrincipalArgs {
  /** The object id. A client id is refused, with the object id that belongs to it. Another one later is looked up again. */
  readonly objectId: pulumi.Input<string>;
  /**
   * What kind of principal it is.
   * @default "ServicePrincipal"
   */
  readonly kind?: pulumi.Input<AzurePrincipalKind>;
}

/**
 * Makes sure that an id is a principal's object id: Azure accepts a grant to any number, and a grant to a client id has no effect. It
 * asks Microsoft Graph, in previews too; where that is not allowed it says so and goes on. It makes nothing and deletes nothing.
 */
export class AzurePrincipal extends pulumi.CustomResource {
  /** The object id. */
  declare readonly objectId: pulumi.Output<string>;
  /** What Entra ID calls it; absent where it could not be asked. */
  declare readonly displayName: pulumi.Output<string | undefined>;

  constructor(name: string, args: AzurePrincipalArgs, opts?: pulumi.CustomResourceOptions) {
    super(typeTokens.azurePrincipal, name, { displayName: undefined, ...args }, opts);
  }
}
