/** The Pulumi provider: every method of the service, from the parts that know one thing each. */
import type { ConstructRequest } from "@pulumi/pulumi/proto/provider_pb";
import { typeTokens } from "../core/type-tokens";
import type { AksEngine } from "../rotation/adapters/aks/aks-engine";
import type { AzureClients } from "../rotation/adapters/azure/azure-clients";
import { lazyAzureClients } from "../rotation/adapters/azure/lazy-clients";
import { createAksSettingsResource } from "./aks/aks-settings-resource";
import { lazyAksEngine } from "./aks/lazy-aks-engine";
import { createKeyAttributesResource } from "./azure/key-attributes-resource";
import { createKnownKeys } from "./azure/known-keys";
import { createPrincipalResource } from "./azure/principal-resource";
import { createVaultAccessResource } from "./azure/vault-access-resource";
import { type ComponentHost, createComponentHost } from "./construct";
import { createCrudService } from "./crud-service";
import { createHandshakeService, type ProviderIdentity } from "./handshake-service";
import { createKeypairRotationResource } from "./kops-credentials/keypair-rotation";
import { createSecretRotationResource } from "./kops-credentials/secret-rotation";
import { createLocalKeyResource } from "./local-key/local-key-resource";
import type { Method } from "./provider-server";
import { type ProviderServer, startProviderServer } from "./provider-server";
import { createRolloutResource } from "./rollout/rollout-resource";
import type { RotationEngine } from "./rollout/rotation-engine";
import { createSession } from "./session";

export interface ProviderOptions {
  /** host:port of the Pulumi engine, where it is known at start. Handshake and Attach name it too. */
  readonly engineAddress?: string;
  readonly engine: RotationEngine;
  readonly identity: ProviderIdentity;
  /** @default the Azure SDKs, with the credentials of this process' environment */
  readonly azure?: () => AzureClients;
  /** @default on Azure Resource Manager, with the same credentials */
  readonly aks?: () => AksEngine;
}

/** Starts serving on a free port of 127.0.0.1. */
export async function startProvider(options: ProviderOptions): Promise<ProviderServer> {
  const session = createSession(options.engineAddress);
  const components: ComponentHost = createComponentHost(() => session.engineAddress);
  const azure = options.azure ?? lazyAzureClients(process.env);
  const keys = createKnownKeys();
  const resources = new Map([
    [typeTokens.aksKmsSettings, createAksSettingsResource(options.aks ?? lazyAksEngine(process.env), keys)],
    [typeTokens.azureKeyAttributes, createKeyAttributesResource(azure, keys)],
    [typeTokens.azurePrincipal, createPrincipalResource(azure)],
    [typeTokens.azureVaultAccess, createVaultAccessResource(azure)],
    [typeTokens.encryptionRollout, createRolloutResource(options.engine)],
    [typeTokens.kopsKmsSettings, createRolloutResource(options.engine, "KopsKmsSettings")],
    [typeTokens.kopsKeypairRotation, createKeypairRotationResource()],
    [typeTokens.kopsSecretRotation, createSecretRotationResource()],
    [typeTokens.localKey, createLocalKeyResource()],
  ]);
  const methods: Readonly<Record<string, Method>> = {
    ...createHandshakeService(session, options.identity),
    ...createCrudService(session, resources, typeTokens.rotationPhase),
    construct: (request: ConstructRequest) => components.construct(request),
  };
  const server = await startProviderServer(session, methods);
  return {
    port: server.port,
    async stop() {
      await server.stop();
      await components.close();
    },
  };
}
