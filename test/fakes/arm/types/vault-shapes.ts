/** Bodies of Microsoft.KeyVault: vaults, their keys, and what is left of a vault that was deleted. */
import {
  anyCaseOf,
  flag,
  flat,
  immutable,
  integer,
  json,
  list,
  named,
  object,
  oneOf,
  readOnly,
  required,
  tags,
  text,
} from "../shape";
import { envelope, tracked } from "./common";

export const vaultApiVersions = ["2023-07-01", "2024-11-01", "2025-05-01", "2026-02-01"];

const keyPermissions = [
  ...[
    "all",
    "encrypt",
    "decrypt",
    "wrapKey",
    "unwrapKey",
    "sign",
    "verify",
    "get",
    "list",
    "create",
    "update",
    "import",
  ],
  ...["delete", "backup", "restore", "recover", "purge", "release", "rotate", "getrotationpolicy", "setrotationpolicy"],
];

export const accessPolicy = object({
  tenantId: required(text(/^[0-9a-f-]{36}$/i)),
  objectId: required(text(/^[0-9a-f-]{36}$/i)),
  applicationId: text(/^[0-9a-f-]{36}$/i),
  permissions: required(
    object({
      keys: list(anyCaseOf(...keyPermissions)),
      secrets: list(text()),
      certificates: list(text()),
      storage: list(text()),
    }),
  ),
});

export const vaultShape = object({
  ...tracked,
  properties: required(
    object({
      tenantId: required(text(/^[0-9a-f-]{36}$/i)),
      sku: required(object({ family: required(oneOf("A")), name: required(anyCaseOf("standard", "premium")) })),
      accessPolicies: list(accessPolicy),
      vaultUri: readOnly(text()),
      hsmPoolResourceId: readOnly(text()),
      enabledForDeployment: flag(),
      enabledForDiskEncryption: flag(),
      enabledForTemplateDeployment: flag(),
      enableSoftDelete: flag(),
      softDeleteRetentionInDays: integer(7, 90),
      enableRbacAuthorization: flag(),
      createMode: oneOf("default", "recover"),
      enablePurgeProtection: flag(),
      networkAcls: object({
        bypass: oneOf("AzureServices", "None"),
        defaultAction: oneOf("Allow", "Deny"),
        ipRules: list(object({ value: required(text()) })),
        virtualNetworkRules: list(object({ id: required(text()), ignoreMissingVnetServiceEndpoint: flag() })),
      }),
      publicNetworkAccess: anyCaseOf("Enabled", "Disabled", "SecuredByPerimeter"),
      provisioningState: readOnly(text()),
      privateEndpointConnections: readOnly(json()),
    }),
  ),
});

const duration = text(/^P(\d+[YMWD])+$/);

export const keyShape = object({
  ...envelope,
  location: readOnly(text()),
  tags: tags(),
  properties: required(
    flat(
      object({
        attributes: object({
          enabled: flag(),
          nbf: named("notBefore", integer(0)),
          exp: named("expires", integer(0)),
          created: readOnly(integer()),
          updated: readOnly(integer()),
          recoveryLevel: readOnly(text()),
          exportable: flag(),
        }),
        kty: oneOf("EC", "EC-HSM", "RSA", "RSA-HSM"),
        keyOps: list(oneOf("encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey", "import", "release")),
        keySize: integer(),
        curveName: oneOf("P-256", "P-384", "P-521", "P-256K"),
        keyUri: readOnly(text()),
        keyUriWithVersion: readOnly(text()),
        rotationPolicy: object({
          attributes: object({ created: readOnly(integer()), updated: readOnly(integer()), expiryTime: duration }),
          lifetimeActions: list(
            object({
              trigger: object({ timeAfterCreate: duration, timeBeforeExpiry: duration }),
              action: object({ type: oneOf("rotate", "notify") }),
            }),
          ),
        }),
        release_policy: named("releasePolicy", object({ contentType: text(), data: text() })),
      }),
    ),
  ),
});

export const deletedVaultShape = object({
  ...envelope,
  properties: object({
    vaultId: readOnly(immutable(text())),
    location: readOnly(text()),
    deletionDate: readOnly(text()),
    scheduledPurgeDate: readOnly(text()),
    purgeProtectionEnabled: readOnly(flag()),
    tags: readOnly(tags()),
  }),
});
