/**
 * The data plane of ARM's vaults: the vaults of the Azure fake, opened and closed by ARM, and asking ARM's roles, access policies
 * and firewall who may do what. So a key that Pulumi makes is one that a plugin can encrypt with.
 */
import type { FakeAzure } from "../azure/azure-cloud";
import type { FakeVault, VaultOperation, VaultRefusal } from "../azure/key-vault";
import type { KeyOperation } from "../azure/vault-keys";
import type { ArmWorld } from "./arm-type";
import type { KmsKey } from "./kms-cluster";
import { isList, isObject, type Json, type JsonObject, textAt } from "./shape";

/** How a caller reaches a vault: over the internet, through a private endpoint, or as a service that the firewall trusts. */
export type NetworkPath = "internet" | "private endpoint" | "trusted service";

export interface KeyVaults {
  open(vault: { readonly name: string; readonly tenantId: string; readonly path: string }): void;
  close(name: string): void;
  /** Forgets the keys too. */
  purge(name: string): void;
  uriOf(name: string): string;
  dataPlane(name: string): FakeVault | undefined;
  keyNames(vault: string): readonly string[];
  stateOf(vault: string, key: string): "absent" | "deleted" | "there";
  addKey(vault: string, key: string, properties: JsonObject): void;
  /** A key's properties, as this version has them; the newest one where none is named. */
  describe(vault: string, key: string, version?: string): JsonObject | undefined;
  /** How callers reach vaults that are closed to the internet, by object id; a managed cluster's identity is put here by AKS. */
  readonly networks: Map<string, NetworkPath>;
  /** Why a principal may not do this; undefined when it may. */
  refusal(vault: string, objectId: string, operation: VaultOperation, network: NetworkPath): VaultRefusal | undefined;
  /** Throws, in Key Vault's words, when an identity could not encrypt and decrypt with a key. */
  requireUsable(key: Pick<KmsKey, "keyId" | "identity">, network: NetworkPath): void;
}

/** Permissions of roles have other names than those of access policies. */
const dataActions: Readonly<Record<VaultOperation, string>> = {
  get: "read",
  list: "read",
  encrypt: "encrypt/action",
  decrypt: "decrypt/action",
  wrapKey: "wrap/action",
  unwrapKey: "unwrap/action",
  create: "create/action",
  update: "update/action",
  delete: "delete",
  recover: "recover/action",
};

export function createKeyVaults(azure: FakeAzure, world: () => ArmWorld): KeyVaults {
  const vaults = new Map<string, { readonly vault: FakeVault; readonly path: string; open: boolean }>();
  /** Keys that are not RSA: ARM shows them, and nothing here can use them. */
  const others = new Map<string, JsonObject>();
  const networks = new Map<string, NetworkPath>();
  const entryOf = (name: string) => vaults.get(name.toLowerCase());
  const otherOf = (vault: string, key: string) => others.get(`${vault}/${key}`.toLowerCase());

  const keyVaults: KeyVaults = {
    networks,
    uriOf: (name) => `https://${name.toLowerCase()}.vault.azure.net/`,
    open({ name, tenantId, path }) {
      const known = entryOf(name);
      if (known?.open === true) return;
      const vault = azure.addVault(name, { tenantId });
      for (const key of known?.vault.keys.names() ?? []) {
        for (const version of known?.vault.keys.versionsOf(key) ?? []) {
          const privateKeyPem = version.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
          Object.assign(vault.keys.add({ name: key, version: version.version, privateKeyPem }), {
            enabled: version.enabled,
            expires: version.expires,
            notBefore: version.notBefore,
            keyOps: version.keyOps,
          });
        }
      }
      vault.policy = (objectId, operation) =>
        keyVaults.refusal(name, objectId, operation, networks.get(objectId) ?? "internet");
      vaults.set(name.toLowerCase(), { vault, path, open: true });
    },
    close(name) {
      const entry = entryOf(name);
      if (entry !== undefined) entry.open = false;
      azure.removeVault(name);
    },
    purge: (name) => void vaults.delete(name.toLowerCase()),
    dataPlane: (name) => (entryOf(name)?.open === true ? entryOf(name)?.vault : undefined),
    keyNames: (vault) => entryOf(vault)?.vault.keys.names() ?? [],
    stateOf(vault, key) {
      const keys = entryOf(vault)?.vault.keys;
      if (keys?.isDeleted(key) === true) return "deleted";
      return keys?.find(key, "") !== undefined || otherOf(vault, key) !== undefined ? "there" : "absent";
    },
    addKey(vault, key, properties) {
      if (!(textAt(properties, "kty") || "RSA").startsWith("RSA")) {
        others.set(`${vault}/${key}`.toLowerCase(), properties);
        return;
      }
      const modulusLength = Number(properties["keySize"] ?? 2048) as 2048 | 3072 | 4096;
      const added = entryOf(vault)?.vault.keys.add({ name: key, modulusLength });
      if (added === undefined) throw new Error(`there is no vault ${vault}`);
      const { keyOps, attributes } = properties;
      if (isList(keyOps)) added.keyOps = keyOps as readonly KeyOperation[];
      if (!isObject(attributes)) return;
      if (attributes["enabled"] === false) added.enabled = false;
      if (typeof attributes["exp"] === "number") added.expires = attributes["exp"] * 1_000;
      if (typeof attributes["nbf"] === "number") added.notBefore = attributes["nbf"] * 1_000;
    },
    describe(vault, key, version = "") {
      const base = keyVaults.uriOf(vault).replace(/\/$/, "");
      const other = otherOf(vault, key);
      if (other !== undefined) {
        // An EC key has the one version that it was made with.
        return { ...other, keyUri: `${base}/keys/${key}`, keyUriWithVersion: `${base}/keys/${key}/${"0".repeat(32)}` };
      }
      const newest = entryOf(vault)?.vault.keys.find(key, version);
      if (newest === undefined) return undefined;
      const seconds = (value: number) => Math.floor(value / 1_000);
      return {
        attributes: {
          enabled: newest.enabled,
          ...(newest.notBefore === undefined ? {} : { nbf: seconds(newest.notBefore) }),
          ...(newest.expires === undefined ? {} : { exp: seconds(newest.expires) }),
          created: seconds(newest.created),
          updated: seconds(newest.created),
          recoveryLevel: "Recoverable+Purgeable",
          exportable: false,
        },
        kty: "RSA",
        keyOps: [...newest.keyOps],
        keySize: newest.privateKey.asymmetricKeyDetails?.modulusLength ?? 2048,
        keyUri: `${base}/keys/${key}`,
        keyUriWithVersion: newest.kid,
      };
    },
    refusal(name, objectId, operation, network) {
      const path = entryOf(name)?.path ?? "";
      const properties = world().find(path)?.body["properties"];
      const blocked = networkRefusal(properties, network);
      if (blocked !== undefined) return blocked;
      if (isObject(properties) && properties["enableRbacAuthorization"] === true) {
        const action = `Microsoft.KeyVault/vaults/keys/${dataActions[operation]}`;
        return world().access.isAllowed(objectId, action, path, "data") ? undefined : "ForbiddenByRbac";
      }
      return policyAllows(properties, objectId, operation) ? undefined : "ForbiddenByPolicy";
    },
    requireUsable({ keyId, identity }, network) {
      const [, vaultName = "", key = "", version = ""] =
        /^https:\/\/([^./]+)\.[^/]+\/keys\/([^/]+)(?:\/([^/]+))?$/.exec(keyId) ?? [];
      const vault = keyVaults.dataPlane(vaultName);
      if (vault === undefined) throw new Error(`there is no vault ${vaultName}`);
      for (const operation of ["encrypt", "decrypt"] as const) {
        const refused = keyVaults.refusal(vaultName, identity.principalId, operation, network);
        if (refused !== undefined) throw new Error(`${refused}: operation ${operation} on ${keyId}`);
      }
      const found = vault.keys.find(key, version);
      if (found === undefined) throw new Error(`KeyNotFound: ${keyId}`);
      if (!found.enabled) throw new Error(`KeyDisabled: Operation encrypt is not allowed on a disabled key.`);
      if (found.expires !== undefined && found.expires < world().now()) {
        throw new Error(`KeyExpired: Operation encrypt is not allowed on an expired key.`);
      }
      if (found.notBefore !== undefined && found.notBefore > world().now()) {
        throw new Error(`KeyNotYetValid: Operation encrypt is not allowed on a key that is not yet valid.`);
      }
      if (!found.keyOps.includes("encrypt") || !found.keyOps.includes("decrypt")) {
        throw new Error(`KeyOperationForbidden: Operation encrypt is not permitted on this key.`);
      }
    },
  };
  return keyVaults;
}

function networkRefusal(properties: Json | undefined, network: NetworkPath): VaultRefusal | undefined {
  if (network === "private endpoint") return undefined;
  const publicAccess = textAt(properties, "publicNetworkAccess").toLowerCase();
  if (network === "trusted service" && textAt(properties, "networkAcls", "bypass") === "AzureServices") {
    // facts/aks.md 1.5: a perimeter overrides the bypass.
    return publicAccess === "securedbyperimeter" ? "ForbiddenByConnection" : undefined;
  }
  if (publicAccess !== "" && publicAccess !== "enabled") return "ForbiddenByConnection";
  return textAt(properties, "networkAcls", "defaultAction") === "Deny" ? "ForbiddenByFirewall" : undefined;
}

function policyAllows(properties: Json | undefined, objectId: string, operation: VaultOperation): boolean {
  const policies = isObject(properties) ? properties["accessPolicies"] : undefined;
  return (isList(policies) ? policies : []).some((policy) => {
    if (textAt(policy, "objectId") !== objectId || !isObject(policy)) return false;
    const permissions = policy["permissions"];
    const keys = isObject(permissions) && isList(permissions["keys"]) ? permissions["keys"] : [];
    return keys.some(
      (name) => typeof name === "string" && [operation.toLowerCase(), "all"].includes(name.toLowerCase()),
    );
  });
}
