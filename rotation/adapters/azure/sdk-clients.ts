/** The Azure SDKs behind the port. Loaded when a resource first needs Azure, because loading them takes a second. */
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createPipelineFromOptions,
  createPipelineRequest,
} from "@azure/core-rest-pipeline";
import { KeyClient } from "@azure/keyvault-keys";
import { versionedAzureKeyId } from "../../../core/azure-key-id";
import { KmsEtcdError } from "../../../core/errors";
import type {
  AzureClients,
  FoundPrincipal,
  KeyAttributes,
  PrincipalKind,
  Principals,
  VaultKeys,
} from "./azure-clients";
import { type AzureCloud, azureCloud, type Environment } from "./azure-cloud";
import { azureFailure, keepRefusal } from "./azure-failure";
import { type CallOptions, createCredential } from "./credential";

export function createSdkClients(environment: Environment, calls: CallOptions = {}): AzureClients {
  const cloud = azureCloud(environment);
  const credential = createCredential(environment, cloud, calls);
  return { keys: vaultKeys(credential, calls), principals: principals(credential, cloud, calls) };
}

type Credential = ReturnType<typeof createCredential>;

function vaultKeys(credential: Credential, calls: CallOptions): VaultKeys {
  const clients = new Map<string, KeyClient>();
  const clientOf = (vaultUri: string): KeyClient => {
    const known =
      clients.get(vaultUri) ??
      new KeyClient(vaultUri, credential, {
        ...calls,
        additionalPolicies: [{ policy: keepRefusal, position: "perCall" }],
      });
    clients.set(vaultUri, known);
    return known;
  };
  const vaultOf = (keyId: string): string => {
    const { vaultName, domain } = versionedAzureKeyId(keyId);
    return `https://${vaultName}.${domain}`;
  };

  return {
    async attributesOf(keyId, signal) {
      const { keyName, keyVersion } = versionedAzureKeyId(keyId);
      try {
        const { properties } = await clientOf(vaultOf(keyId)).getKey(keyName, {
          version: keyVersion,
          abortSignal: signal,
        });
        return attributesIn(properties);
      } catch (thrown) {
        const failure = azureFailure(thrown, `the key ${keyId}`);
        if (failure.code === "not-found") return undefined;
        throw failure;
      }
    },
    async setAttributes(keyId, wanted, signal) {
      const { keyName, keyVersion } = versionedAzureKeyId(keyId);
      try {
        const { properties } = await clientOf(vaultOf(keyId)).updateKeyProperties(keyName, keyVersion, {
          ...wanted,
          abortSignal: signal,
        });
        return attributesIn(properties);
      } catch (thrown) {
        throw azureFailure(thrown, `the key ${keyId}`);
      }
    },
    async list(vaultUri, signal) {
      try {
        const pages = clientOf(vaultUri.replace(/\/$/, ""))
          .listPropertiesOfKeys({ abortSignal: signal })
          .byPage({ maxPageSize: 1 });
        await pages.next();
      } catch (thrown) {
        throw azureFailure(thrown, `the vault ${vaultUri}`);
      }
    },
  };
}

function attributesIn(properties: {
  readonly enabled?: boolean;
  readonly createdOn?: Date;
  readonly expiresOn?: Date;
  readonly tags?: Readonly<Record<string, string>>;
}): KeyAttributes {
  const { enabled = true, createdOn, expiresOn, tags } = properties;
  return {
    enabled,
    ...(createdOn === undefined ? {} : { createdOn }),
    ...(expiresOn === undefined ? {} : { expiresOn }),
    ...(tags === undefined ? {} : { tags }),
  };
}

const collections: Readonly<Record<PrincipalKind, string>> = {
  ServicePrincipal: "servicePrincipals",
  User: "users",
  Group: "groups",
};

function principals(credential: Credential, cloud: AzureCloud, calls: CallOptions): Principals {
  const pipeline = createPipelineFromOptions({});
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: `${cloud.graph}/.default` }));
  const client = calls.httpClient ?? createDefaultHttpClient();

  /** The object's id and name; the status for any other answer. */
  async function ask(path: string, signal: AbortSignal): Promise<{ id: string; displayName: string } | number> {
    const url = `${cloud.graph}/v1.0/${path}?$select=id,displayName`;
    const request = createPipelineRequest({ url, abortSignal: signal });
    const response = await pipeline.sendRequest(client, request).catch((thrown: unknown) => {
      throw azureFailure(thrown, "Microsoft Graph");
    });
    if (response.status !== 200) return response.status;
    const { id, displayName } = JSON.parse(response.bodyAsText ?? "{}") as { id?: string; displayName?: string };
    return { id: id ?? "", displayName: displayName ?? "" };
  }

  return {
    async find(objectId, kind, signal): Promise<FoundPrincipal> {
      const found = await ask(`${collections[kind]}/${encodeURIComponent(objectId)}`, signal);
      if (typeof found === "object") return { kind: "found", displayName: found.displayName };
      if (found === 401 || found === 403) return { kind: "not-allowed" };
      if (found !== 404 && found !== 400) {
        throw new KmsEtcdError("unreachable", `Microsoft Graph answered ${found} when asked for ${objectId}`);
      }
      const byClientId = await ask(`servicePrincipals(appId='${encodeURIComponent(objectId)}')`, signal);
      if (typeof byClientId !== "object") return { kind: "not-found" };
      return { kind: "client-id", objectId: byClientId.id, displayName: byClientId.displayName };
    },
  };
}
