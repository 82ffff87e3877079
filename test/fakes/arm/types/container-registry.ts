/** Container registries, for the plugin's image. */
import { ArmError } from "../arm-error";
import type { ArmType } from "../arm-type";
import { flag, flat, json, list, object, oneOf, readOnly, required, text } from "../shape";
import { bodyProperties, propertiesOf, regionOf, tracked } from "./common";

const type = "Microsoft.ContainerRegistry/registries";

export const registries: ArmType = {
  type,
  apiVersions: ["2023-01-01-preview", "2023-07-01", "2025-04-01", "2025-11-01"],
  name: /^[a-zA-Z0-9]{5,50}$/,
  longRunning: true,
  patchTags: true,
  shape: object({
    ...tracked,
    sku: required(object({ name: required(oneOf("Basic", "Standard", "Premium")), tier: readOnly(text()) })),
    identity: json(),
    properties: flat(
      object({
        adminUserEnabled: flag(),
        anonymousPullEnabled: flag(),
        dataEndpointEnabled: flag(),
        encryption: json(),
        networkRuleBypassOptions: oneOf("AzureServices", "None"),
        networkRuleSet: object({
          defaultAction: required(oneOf("Allow", "Deny")),
          ipRules: list(object({ action: oneOf("Allow"), value: required(text()) })),
        }),
        policies: json(),
        publicNetworkAccess: oneOf("Enabled", "Disabled"),
        zoneRedundancy: oneOf("Enabled", "Disabled"),
        loginServer: readOnly(text()),
        creationDate: readOnly(text()),
        status: readOnly(json()),
        dataEndpointHostNames: readOnly(json()),
        privateEndpointConnections: readOnly(json()),
        provisioningState: readOnly(text()),
      }),
    ),
  }),
  put(work) {
    const { world, id, before, body } = work;
    const name = id.names[0] ?? "";
    const taken = world
      .list(type, "/")
      .some((other) => other !== before && other.id.names[0]?.toLowerCase() === name.toLowerCase());
    if (taken)
      throw new ArmError(
        409,
        "AlreadyInUse",
        `The registry DNS name ${name.toLowerCase()}.azurecr.io is already in use.`,
      );
    const properties = {
      adminUserEnabled: false,
      anonymousPullEnabled: false,
      dataEndpointEnabled: false,
      dataEndpointHostNames: [],
      networkRuleBypassOptions: "AzureServices",
      publicNetworkAccess: "Enabled",
      zoneRedundancy: "Disabled",
      ...bodyProperties(work),
      loginServer: `${name.toLowerCase()}.azurecr.io`,
      creationDate: propertiesOf(before)["creationDate"] ?? new Date(world.now()).toISOString(),
    };
    return { body: { ...body, location: regionOf(type, body["location"]), properties }, finish: async () => undefined };
  },
  actions: {
    listcredentials({ resource }) {
      if (propertiesOf(resource)["adminUserEnabled"] !== true) {
        throw new ArmError(
          400,
          "UnauthorizedForCredentialOperations",
          `Cannot perform credential operations for ${resource.path} as admin user is disabled. Kindly enable admin user as per docs: https://aka.ms/acr/authentication`,
        );
      }
      const name = resource.id.names[0] ?? "";
      return { status: 200, body: { username: name, passwords: [{ name: "password", value: `fake-${name}` }] } };
    },
  },
};
