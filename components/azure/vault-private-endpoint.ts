/** A private endpoint to a vault: how hosts in a virtual network reach a vault that has no public endpoint. */
import * as pulumi from "@pulumi/pulumi";
import { type InputViolation, unknownInputViolations } from "../../core/input-rules";
import { typeTokens } from "../../core/type-tokens";
import { inputError } from "../input-error";
import { loadAzureNative } from "./azure-native";

/** Where a private endpoint stands, and who finds it by name. */
export interface PrivateEndpointSettingsArgs {
  /** Resource group of the endpoint, and of the DNS zone when one is made. Moving it later makes another endpoint. */
  readonly resourceGroupName: pulumi.Input<string>;
  /** Region of the endpoint: that of its virtual network. */
  readonly location: pulumi.Input<string>;
  /** Resource id of the subnet that the endpoint gets an address in. Another one later makes another endpoint. */
  readonly subnetId: pulumi.Input<string>;
  /**
   * Resource id of a DNS zone `privatelink.vaultcore.azure.net` that exists and is linked to your networks already.
   * @default a zone is made
   */
  readonly privateDnsZoneId?: pulumi.Input<string>;
  /** Virtual networks that the zone that is made is linked to, by names of your own: resource ids. */
  readonly virtualNetworkIds?: Record<string, pulumi.Input<string>>;
  /**
   * Name of the zone that is made. Other clouds have another: `privatelink.vaultcore.usgovcloudapi.net`, `privatelink.vaultcore.azure.cn`.
   * @default "privatelink.vaultcore.azure.net"
   */
  readonly privateDnsZoneName?: string;
}

/** The inputs of a VaultPrivateEndpoint. */
export interface VaultPrivateEndpointArgs {
  /** Resource id of the vault. Another one later makes another endpoint. */
  readonly vaultId: pulumi.Input<string>;
  /** Where the endpoint stands. */
  readonly settings: PrivateEndpointSettingsArgs;
}

const settingNames = [
  ...["resourceGroupName", "location", "subnetId", "privateDnsZoneId", "virtualNetworkIds", "privateDnsZoneName"],
];

/** A private endpoint to a vault, the DNS zone by which the vault's name leads to it, and the zone's links to virtual networks. */
export class VaultPrivateEndpoint extends pulumi.ComponentResource {
  /** Resource id of the endpoint, once its name resolves. */
  readonly privateEndpointId: pulumi.Output<string>;

  constructor(name: string, args: VaultPrivateEndpointArgs, opts?: pulumi.ComponentResourceOptions) {
    const violations = privateEndpointViolations("settings", args.settings);
    if (violations.length > 0) throw inputError("VaultPrivateEndpoint", violations);
    super(typeTokens.vaultPrivateEndpoint, name, args, opts);
    const { PrivateDnsZoneGroup, PrivateEndpoint } = loadAzureNative();
    const { resourceGroupName, location, subnetId } = args.settings;
    const endpoint = new PrivateEndpoint(
      name,
      {
        resourceGroupName,
        location,
        subnet: { id: subnetId },
        privateLinkServiceConnections: [{ name: "vault", privateLinkServiceId: args.vaultId, groupIds: ["vault"] }],
      },
      { parent: this },
    );
    const group = new PrivateDnsZoneGroup(
      name,
      {
        resourceGroupName,
        privateEndpointName: endpoint.name,
        privateDnsZoneGroupName: "default",
        privateDnsZoneConfigs: [{ name: "vault", privateDnsZoneId: zoneId(name, args.settings, this) }],
      },
      { parent: this },
    );
    this.privateEndpointId = pulumi.all([endpoint.id, group.id]).apply(([id]) => id);
    this.registerOutputs({ privateEndpointId: this.privateEndpointId });
  }
}

/** The given zone, or one that is made and linked. */
function zoneId(name: string, settings: PrivateEndpointSettingsArgs, parent: pulumi.Resource): pulumi.Input<string> {
  if (settings.privateDnsZoneId !== undefined) return settings.privateDnsZoneId;
  const { PrivateZone, VirtualNetworkLink } = loadAzureNative();
  const { resourceGroupName } = settings;
  const zone = new PrivateZone(
    name,
    {
      resourceGroupName,
      privateZoneName: settings.privateDnsZoneName ?? "privatelink.vaultcore.azure.net",
      // Zones belong to no region, and so do their links.
      location: "Global",
    },
    { parent },
  );
  const links = Object.entries(settings.virtualNetworkIds ?? {}).map(
    ([network, id]) =>
      new VirtualNetworkLink(
        `${name}-${network}`,
        {
          resourceGroupName,
          privateZoneName: zone.name,
          location: "Global",
          virtualNetwork: { id },
          registrationEnabled: false,
        },
        { parent },
      ),
  );
  return pulumi.all([zone.id, pulumi.all(links.map((link) => link.id))]).apply(([id]) => id);
}

/** What is wrong with the settings of a private endpoint, which stand at `path`. */
export function privateEndpointViolations(
  path: string,
  settings: PrivateEndpointSettingsArgs,
): readonly InputViolation[] {
  const given = settings as unknown as Readonly<Record<string, unknown>>;
  const missing = ["resourceGroupName", "location", "subnetId"].filter((name) => given[name] === undefined);
  return [
    ...unknownInputViolations(given, settingNames).map((violation) => ({
      ...violation,
      path: `${path}.${violation.path}`,
    })),
    ...missing.map((name) => ({ path: `${path}.${name}`, reason: "is missing; a private endpoint needs it" })),
    ...(settings.privateDnsZoneId === undefined || settings.virtualNetworkIds === undefined
      ? []
      : [
          {
            path: `${path}.virtualNetworkIds`,
            reason: "are for a zone that is made; link the zone that exists yourself, or leave privateDnsZoneId out",
          },
        ]),
  ];
}
