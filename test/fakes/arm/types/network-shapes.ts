/** Bodies of Microsoft.Network, as far as clusters and private vaults need them. */
import {
  type Fields,
  flag,
  flat,
  immutable,
  integer,
  json,
  list,
  object,
  oneOf,
  readOnly,
  reference,
  required,
  type Shape,
  tags,
  text,
  texts,
} from "../shape";
import { envelope, tracked } from "./common";

export const networkApiVersions = ["2024-05-01", "2024-07-01", "2025-01-01", "2025-05-01", "2025-07-01"];

const etag = { etag: readOnly(text()) };
const state = { provisioningState: readOnly(text()) };
/** A part of a list that is a resource: name and id outside, the rest in `properties`, which the SDK shows flat. */
const part = (fields: Fields): Shape =>
  object({ id: text(), name: text(), type: text(), ...etag, properties: flat(object(fields)) });

const securityRule = {
  description: text(),
  protocol: required(oneOf("Tcp", "Udp", "Icmp", "Esp", "*", "Ah")),
  sourcePortRange: text(),
  sourcePortRanges: texts(),
  destinationPortRange: text(),
  destinationPortRanges: texts(),
  sourceAddressPrefix: text(),
  sourceAddressPrefixes: texts(),
  sourceApplicationSecurityGroups: list(reference()),
  destinationAddressPrefix: text(),
  destinationAddressPrefixes: texts(),
  destinationApplicationSecurityGroups: list(reference()),
  access: required(oneOf("Allow", "Deny")),
  priority: required(integer(100, 4096)),
  direction: required(oneOf("Inbound", "Outbound")),
  ...state,
};

export const securityGroupShape = object({
  ...tracked,
  ...etag,
  properties: flat(
    object({
      securityRules: list(part(securityRule)),
      flushConnection: flag(),
      defaultSecurityRules: readOnly(json()),
      networkInterfaces: readOnly(json()),
      subnets: readOnly(json()),
      flowLogs: readOnly(json()),
      resourceGuid: readOnly(text()),
      ...state,
    }),
  ),
});

const prefix = text(/^[0-9a-f.:]+\/\d+$/i);

const subnetProperties = {
  addressPrefix: prefix,
  addressPrefixes: list(prefix),
  networkSecurityGroup: object({
    id: text(),
    location: text(),
    tags: tags(),
    properties: flat(object({ securityRules: json() })),
  }),
  routeTable: reference(),
  natGateway: reference(),
  serviceEndpoints: list(object({ service: text(), locations: texts(), networkIdentifier: reference(), ...state })),
  serviceEndpointPolicies: list(reference()),
  delegations: list(part({ serviceName: text(), actions: readOnly(texts()), ...state })),
  privateEndpointNetworkPolicies: oneOf("Enabled", "Disabled", "NetworkSecurityGroupEnabled", "RouteTableEnabled"),
  privateLinkServiceNetworkPolicies: oneOf("Enabled", "Disabled"),
  defaultOutboundAccess: flag(),
  sharingScope: oneOf("Tenant", "DelegatedServices"),
  ipAllocations: list(reference()),
  applicationGatewayIPConfigurations: json(),
  ipamPoolPrefixAllocations: json(),
  privateEndpoints: readOnly(json()),
  ipConfigurations: readOnly(json()),
  ipConfigurationProfiles: readOnly(json()),
  resourceNavigationLinks: readOnly(json()),
  serviceAssociationLinks: readOnly(json()),
  purpose: readOnly(text()),
  ...state,
};

export const subnetShape = object({
  id: text(),
  name: text(),
  type: text(),
  ...etag,
  properties: required(flat(object(subnetProperties))),
});

export const virtualNetworkShape = object({
  ...tracked,
  ...etag,
  extendedLocation: json(),
  properties: required(
    flat(
      object({
        addressSpace: required(object({ addressPrefixes: required(list(prefix)), ipamPoolPrefixAllocations: json() })),
        dhcpOptions: object({ dnsServers: texts() }),
        subnets: list(part(subnetProperties)),
        flowTimeoutInMinutes: integer(4, 30),
        enableDdosProtection: flag(),
        enableVmProtection: flag(),
        encryption: object({ enabled: required(flag()), enforcement: oneOf("DropUnencrypted", "AllowUnencrypted") }),
        ddosProtectionPlan: reference(),
        bgpCommunities: json(),
        virtualNetworkPeerings: json(),
        ipAllocations: list(reference()),
        privateEndpointVNetPolicies: oneOf("Disabled", "Basic"),
        resourceGuid: readOnly(text()),
        flowLogs: readOnly(json()),
        ...state,
      }),
    ),
  ),
});

const serviceConnection = part({
  privateLinkServiceId: required(text()),
  groupIds: texts(),
  requestMessage: text(),
  privateLinkServiceConnectionState: object({ status: text(), description: text(), actionsRequired: text() }),
  ...state,
});

export const privateEndpointShape = object({
  ...tracked,
  ...etag,
  extendedLocation: json(),
  properties: required(
    flat(
      object({
        subnet: required(immutable(object({ id: required(text()), properties: flat(object(subnetProperties)) }))),
        privateLinkServiceConnections: list(serviceConnection),
        manualPrivateLinkServiceConnections: list(serviceConnection),
        customDnsConfigs: list(object({ fqdn: text(), ipAddresses: texts() })),
        customNetworkInterfaceName: text(),
        applicationSecurityGroups: list(reference()),
        ipConfigurations: list(
          object({
            name: text(),
            type: readOnly(text()),
            ...etag,
            properties: flat(object({ groupId: text(), memberName: text(), privateIPAddress: text() })),
          }),
        ),
        networkInterfaces: readOnly(json()),
        ...state,
      }),
    ),
  ),
});

export const zoneGroupShape = object({
  id: text(),
  name: text(),
  ...etag,
  properties: required(
    flat(
      object({
        privateDnsZoneConfigs: required(
          list(
            object({
              name: required(text()),
              properties: required(flat(object({ privateDnsZoneId: required(text()), recordSets: readOnly(json()) }))),
            }),
          ),
        ),
        ...state,
      }),
    ),
  ),
});

export const privateZoneShape = object({
  ...tracked,
  ...etag,
  properties: flat(
    object({
      maxNumberOfRecordSets: readOnly(integer()),
      numberOfRecordSets: readOnly(integer()),
      maxNumberOfVirtualNetworkLinks: readOnly(integer()),
      numberOfVirtualNetworkLinks: readOnly(integer()),
      maxNumberOfVirtualNetworkLinksWithRegistration: readOnly(integer()),
      numberOfVirtualNetworkLinksWithRegistration: readOnly(integer()),
      internalId: readOnly(text()),
      ...state,
    }),
  ),
});

export const zoneLinkShape = object({
  ...envelope,
  location: required(immutable(text())),
  tags: tags(),
  ...etag,
  properties: required(
    flat(
      object({
        virtualNetwork: required(immutable(object({ id: required(text()) }))),
        registrationEnabled: flag(),
        resolutionPolicy: oneOf("Default", "NxDomainRedirect"),
        virtualNetworkLinkState: readOnly(text()),
        ...state,
      }),
    ),
  ),
});
