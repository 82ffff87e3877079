/**
 * A key in Azure Key Vault or a managed HSM, for the plugin server: reads and writes the same bytes as Azure/kubernetes-kms,
 * so a cluster moves over by changing the image. Everything of Azure is in this folder. The SDKs are loaded with the first
 * call and not before, so that the socket is ready at once.
 */
import { KmsEtcdError } from "../../../core/errors";
import { certificateAuthorities } from "../../certificate-authorities";
import type { AzurePluginConfig } from "../../config/azure";
import type { KeyProvider } from "../../key-provider";
import { type AttemptLimits, inAttempts, type Outcome } from "./attempts";
import { type AzureJson, readAzureJson } from "./azure-json";
import { type AzureCloud, findCloud, type KeyService } from "./clouds";
import { type Connect, type Connections, createConnections } from "./connections";
import { fetchToken, issuerOf } from "./credentials";
import { ofKey } from "./errors";
import { readKeyExpiry } from "./key-expiry";
import { createKeyIdentity, type KeyIdentity, type KeyNames } from "./key-identity";
import { createKeyVaultClient, type KeyVaultAnswer, type KeyVaultClient } from "./key-vault-client";
import { withinLimit } from "./time-limit";
import { createTokenSource, type TokenSource } from "./token-source";
import {
  type Algorithm,
  algorithms,
  annotationsFor,
  checkAnnotations,
  decodeCiphertext,
  decodePlaintext,
  encodeCiphertext,
} from "./wire-format";

export interface AzureKeyVaultOptions {
  /** Default: the environment of the process. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Opens connections to Azure; default: TCP and TLS to the address in the request. */
  readonly connect?: Connect;
}

/** What is known once azure.json has been read. */
interface Opened {
  readonly azureJson: AzureJson;
  readonly cloud: AzureCloud;
  readonly service: KeyService;
  readonly names: KeyNames;
  readonly identity: KeyIdentity;
  readonly authorities: readonly string[] | undefined;
}

interface Backend {
  readonly client: KeyVaultClient;
  readonly tokens: TokenSource;
  readonly connections: Connections;
}

/** The server cuts calls off at its limit without knowing why they take so long; this is a moment before, with the reason. */
const partOfCall = 0.95;

/** RSA with 4096 bits and the shorter padding holds no more (RFC 8017 section 7.2.1). */
const longestPlaintext = 501;

/** What the smallest key of Key Vault holds, 2048 bits with the longer padding. */
const smallestKeyHolds = 190;

export function createAzureKeyVaultProvider(
  config: AzurePluginConfig,
  options: AzureKeyVaultOptions = {},
): KeyProvider {
  const environment = options.environment ?? process.env;
  const limits: AttemptLimits = {
    limitMs: config.operation.callTimeoutMs * partOfCall,
    secondAfterMs: 1_000,
    firstPauseMs: 100,
  };
  let opened: Opened | undefined;
  let backend: Backend | undefined;
  let closed = false;

  const afterOpen = (caller: string): Opened => {
    if (opened === undefined) throw new Error(`${caller} was called before open`);
    return opened;
  };
  const whileOpen = (caller: string): Opened => {
    if (closed) throw new Error(`${caller} was called after close`);
    return afterOpen(caller);
  };

  const startBackend = (known: Opened): Backend => {
    const connections = createConnections({
      proxyMode: config.proxy,
      connect: options.connect,
      environment,
      authorities: known.authorities,
    });
    const { resource } = known.service;
    const { cloud, names, identity } = known;
    const settings = { credentialsFile: config.credentialsFile, environment, cloud, resource, connections };
    const tokens = createTokenSource(
      (signal) => fetchToken(settings, signal),
      issuerOf(known.azureJson.credentials, cloud),
    );
    const client = createKeyVaultClient({ identity, names, resource, tokens, connections });
    return { connections, tokens, client };
  };

  const ask = (
    known: Opened,
    call: (client: KeyVaultClient, signal: AbortSignal) => Promise<Outcome<KeyVaultAnswer>>,
    signal: AbortSignal,
  ): Promise<KeyVaultAnswer> => {
    backend ??= startBackend(known);
    const { client, tokens } = backend;
    return inAttempts(
      (attemptSignal) => call(client, attemptSignal),
      () =>
        tokens.missing() ??
        new KmsEtcdError("timeout", `Key Vault did not answer in time for ${known.identity.kid}`, {
          remedy: "check the network between this host and the vault",
        }),
      signal,
      limits,
    );
  };

  const encrypt = async (
    known: Opened,
    algorithm: Algorithm,
    plaintext: Uint8Array,
    signal: AbortSignal,
  ): Promise<KeyVaultAnswer> => {
    const answer = await ask(known, (client, attempt) => client.encrypt(algorithm, plaintext, attempt), signal).catch(
      (thrown: unknown) => {
        throw plaintext.length <= smallestKeyHolds ? ofKey(thrown, algorithm) : thrown;
      },
    );
    known.identity.learn(answer.kid);
    return answer;
  };

  const decrypt = async (
    known: Opened,
    algorithm: Algorithm,
    block: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> =>
    (await ask(known, (client, attempt) => client.decrypt(algorithm, block, attempt), signal)).value;

  const refuseOtherKey = async (known: Opened, keyId: string, signal: AbortSignal): Promise<void> => {
    // The vault may spell the key in another way than the flags; only an encryption tells.
    if (!known.identity.spellingKnown) await encrypt(known, algorithms.v2, Buffer.from("spelling"), signal);
    if (known.identity.matches(keyId)) return;
    throw new KmsEtcdError("invalid-input", `the data was encrypted with another key than ${known.identity.kid}`, {
      remedy: "keep a plugin for the key that it was encrypted with until everything is written again",
    });
  };

  const probe = (known: Opened, algorithm: Algorithm, signal: AbortSignal): Promise<void> =>
    withinLimit(signal, limits.limitMs, async (limited) => {
      const sent = Buffer.from("healthcheck");
      const encrypted = await encrypt(known, algorithm, sent, limited);
      const read = decrypt(known, algorithm, encrypted.value, limited).catch((thrown: unknown) => {
        throw ofKey(thrown, algorithm);
      });
      if (sent.equals(await read)) return;
      throw new KmsEtcdError("key-unusable", `${known.identity.kid} does not decrypt what it has encrypted`, {
        remedy: "see what stands between this host and the vault",
      });
    });

  return {
    get keyId() {
      return afterOpen("keyId").identity.keyId;
    },
    statusVersion: "v2beta1",
    get description() {
      return describe(config, opened);
    },
    async open() {
      const azureJson = await readAzureJson(config.credentialsFile, environment);
      const cloud = await findCloud(azureJson.cloud, environment);
      const service = config.managedHsm ? cloud.managedHsm : cloud.vault;
      if (service === undefined) {
        throw new KmsEtcdError("unsupported", `--managed-hsm: ${cloud.name} has no managed HSM that is known here`, {
          remedy: "use a key vault in this cloud",
        });
      }
      const names: KeyNames = { ...config, dnsSuffix: service.dnsSuffix };
      // A connection of one's own knows its authorities.
      const authorities = options.connect === undefined ? certificateAuthorities(environment) : undefined;
      opened = { azureJson, cloud, service, names, identity: createKeyIdentity(names), authorities };
    },
    async encrypt(plaintext, call) {
      const known = whileOpen("encrypt");
      if (plaintext.length === 0 || plaintext.length > longestPlaintext) {
        throw new KmsEtcdError("invalid-input", `the plaintext has ${plaintext.length} bytes`, {
          remedy: `send 1 to ${longestPlaintext} bytes: the plugin encrypts data encryption keys, not data`,
        });
      }
      const answer = await encrypt(known, algorithms[call.kms], plaintext, call.signal);
      return {
        ciphertext: encodeCiphertext(answer.value),
        keyId: known.identity.keyId,
        annotations: call.kms === "v2" ? annotationsFor(answer.origin) : {},
      };
    },
    async decrypt(input, call) {
      const known = whileOpen("decrypt");
      if (call.kms === "v2") checkAnnotations(input.annotations);
      const { block, encoding } = decodeCiphertext(input.ciphertext);
      const read = async (signal: AbortSignal): Promise<Uint8Array> =>
        decodePlaintext(await decrypt(known, algorithms[call.kms], block, signal), encoding);
      if (call.kms === "v1" || known.identity.matches(input.keyId)) return read(call.signal);
      return withinLimit(call.signal, limits.limitMs, async (signal) => {
        await refuseOtherKey(known, input.keyId, signal);
        return read(signal);
      });
    },
    probe: (signal) => probe(whileOpen("probe"), algorithms.v2, signal),
    probeV1: (signal) => probe(whileOpen("probeV1"), algorithms.v1, signal),
    async expiry(signal) {
      const known = whileOpen("expiry");
      backend ??= startBackend(known);
      const { tokens, connections } = backend;
      return readKeyExpiry(known.identity.kid, { tokens, httpClient: connections.httpClient("KeyVault") }, signal);
    },
    async close() {
      closed = true;
      await backend?.connections.close();
    },
  };
}

function describe(config: AzurePluginConfig, opened: Opened | undefined): Readonly<Record<string, string>> {
  return {
    vault: opened?.identity.vaultUrl ?? config.vaultName,
    key: config.keyName,
    version: config.keyVersion,
    ...(opened === undefined ? {} : { cloud: opened.cloud.name, authentication: opened.azureJson.credentials.kind }),
    ...(config.proxy === undefined ? {} : { proxy: `${config.proxy.address}:${config.proxy.port}` }),
  };
}
