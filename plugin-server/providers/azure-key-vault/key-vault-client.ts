/**
 * The two calls that the plugin makes on Key Vault. `CryptographyClient` encrypts by itself once it has the public key, and
 * then a disabled or denied key looks healthy. Given a key without key material, it can only ask the service; it then needs
 * no permission to read the key either, as the peer needs none.
 */
import { randomUUID } from "node:crypto";
import type { PipelineRequest, PipelineResponse } from "@azure/core-rest-pipeline";
import type { CryptographyClient } from "@azure/keyvault-keys";
import { KmsEtcdError } from "../../../core/errors";
import type { Failure, Outcome } from "./attempts";
import type { Answer, Connections } from "./connections";
import { type KeyOperation, malformedAnswer, vaultFailure } from "./errors";
import type { KeyIdentity, KeyNames } from "./key-identity";
import { loadLibraries } from "./load-libraries";
import { networkFailure } from "./network-failure";
import type { TokenSource } from "./token-source";
import { type Algorithm, fromBase64url, isBlock, type Origin } from "./wire-format";

export interface KeyVaultAnswer {
  /** The key that was used, in the vault's spelling. */
  readonly kid: string;
  readonly value: Uint8Array;
  readonly origin: Origin;
}

/** Each call is one attempt and says itself whether another can help. */
export interface KeyVaultClient {
  encrypt(algorithm: Algorithm, plaintext: Uint8Array, signal: AbortSignal): Promise<Outcome<KeyVaultAnswer>>;
  decrypt(algorithm: Algorithm, block: Uint8Array, signal: AbortSignal): Promise<Outcome<KeyVaultAnswer>>;
}

/** All that is used of the SDK's client. */
type CryptographyCalls = Pick<CryptographyClient, "encrypt" | "decrypt">;

/** In use in every cloud; the SDK's own default is not yet. */
const serviceVersion = "7.4";

const longestKid = 512;

export function createKeyVaultClient(settings: {
  readonly identity: KeyIdentity;
  readonly names: KeyNames;
  readonly resource: string;
  readonly tokens: TokenSource;
  readonly connections: Connections;
}): KeyVaultClient {
  const { CryptographyClient } = loadLibraries();
  const { identity, names, tokens } = settings;
  const vaultUrl = identity.vaultUrl;
  const { host } = new URL(vaultUrl);
  const never = new AbortController().signal;

  const httpClient = settings.connections.httpClient("KeyVault", ({ request, response }) => {
    const token = /^Bearer (.+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined || response === undefined) return undefined;
    // Before the SDK reads the 401: it then asks for a token once more and gets a new one.
    if (response.status === 401) tokens.refused(token);
    else tokens.accepted(token);
    return undefined;
  });

  const credential = {
    async getToken(scopes: string | string[]) {
      refuseOtherService([scopes].flat()[0] ?? "", settings.resource);
      // An end in the past keeps the SDK from caching: token-source.ts does that.
      return { token: await tokens.get(never), expiresOnTimestamp: 0 };
    },
  };

  const newClient = (): CryptographyCalls =>
    new CryptographyClient(
      {
        id: identity.kid,
        name: names.keyName,
        properties: { vaultUrl, name: names.keyName, version: names.keyVersion },
      },
      credential,
      {
        httpClient,
        serviceVersion,
        retryOptions: { maxRetries: 0 },
        redirectOptions: { maxRetries: 0 },
        userAgentOptions: { userAgentPrefix: "kms-etcd-plugin" },
      },
    );

  // The SDK mixes up request bodies when calls run side by side before a client's first challenge is answered (it keeps one
  // body per client). So each call has a client of its own until one of them has been through.
  let challenged: CryptographyCalls | undefined;
  /** A request of the SDK's for each operation. */
  const made = new Map<KeyOperation, MadeRequest>();

  const throughSdk = async (
    operation: KeyOperation,
    algorithm: Algorithm,
    input: Uint8Array,
    signal: AbortSignal,
  ): Promise<Outcome<KeyVaultAnswer>> => {
    const client = challenged ?? newClient();
    let response: PipelineResponse | undefined;
    const options = {
      abortSignal: signal,
      onResponse: (seen: PipelineResponse) => {
        response = seen;
      },
    };
    try {
      // Here, and not only in the SDK's pipeline, because this waits no longer than the call may.
      await tokens.get(signal);
      await (operation === "encrypt"
        ? client.encrypt({ algorithm, plaintext: input }, options)
        : client.decrypt({ algorithm, ciphertext: input }, options));
    } catch (thrown) {
      if (response === undefined) return { failed: failureWithoutAnswer(thrown, identity.kid, host) };
    }
    if (response === undefined) return { failed: malformedAnswer("there was no answer", identity.kid) };
    if (response.status !== 401) challenged ??= client;
    if (response.status !== 200) return { failed: vaultFailure(response, operation, identity.kid) };
    if (!made.has(operation)) made.set(operation, madeRequest(response.request));
    return readAnswer(response, operation, identity.kid);
  };

  /**
   * A request like one that the SDK has made, with another body, token and id. The SDK's pipeline costs more CPU time than all
   * the rest of a call, and of what it finds out nothing changes from one request to the next.
   */
  const direct = async (
    { url, headers }: MadeRequest,
    algorithm: Algorithm,
    input: Uint8Array,
    signal: AbortSignal,
  ): Promise<Answer> => {
    const token = await tokens.get(signal);
    const value = Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString("base64url");
    const changing = { authorization: `Bearer ${token}`, "x-ms-client-request-id": randomUUID() };
    const body = JSON.stringify({ alg: algorithm, value });
    const answer = await settings.connections.post(url, { ...headers, ...changing }, body, signal);
    if (answer.status === 401) tokens.refused(token);
    else tokens.accepted(token);
    return answer;
  };

  const call = async (
    operation: KeyOperation,
    algorithm: Algorithm,
    input: Uint8Array,
    signal: AbortSignal,
  ): Promise<Outcome<KeyVaultAnswer>> => {
    const like = made.get(operation);
    if (like === undefined) return throughSdk(operation, algorithm, input, signal);
    let response: Answer;
    try {
      response = await direct(like, algorithm, input, signal);
    } catch (thrown) {
      return { failed: failureWithoutAnswer(thrown, identity.kid, host) };
    }
    // The challenge may have changed: the SDK reads it, and asks for another token.
    if (response.status === 401) return throughSdk(operation, algorithm, input, signal);
    if (response.status !== 200) return { failed: vaultFailure(response, operation, identity.kid) };
    return readAnswer(response, operation, identity.kid);
  };

  return {
    encrypt: (algorithm, plaintext, signal) => call("encrypt", algorithm, plaintext, signal),
    decrypt: (algorithm, block, signal) => call("decrypt", algorithm, block, signal),
  };
}

/** What of the SDK's request is the same in each. */
interface MadeRequest {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** Of one request, or of one connection. */
const changingHeaders: ReadonlySet<string> = new Set([
  "authorization",
  "x-ms-client-request-id",
  "content-length",
  "accept-encoding",
  "connection",
]);

function madeRequest({ url, headers }: PipelineRequest): MadeRequest {
  const kept = Object.entries(headers.toJSON()).filter(([name]) => !changingHeaders.has(name));
  return { url: new URL(url), headers: Object.fromEntries(kept) };
}

function readAnswer(response: Answer, operation: KeyOperation, expectedKid: string): Outcome<KeyVaultAnswer> {
  let body: unknown;
  try {
    body = JSON.parse(response.bodyAsText ?? "");
  } catch {
    return { failed: malformedAnswer("the answer is not JSON", expectedKid) };
  }
  const { kid, value } = (typeof body === "object" && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  if (typeof kid !== "string" || kid === "" || kid.length > longestKid) {
    return { failed: malformedAnswer("the answer names no key", expectedKid) };
  }
  const bytes = typeof value === "string" ? fromBase64url(value) : undefined;
  if (bytes === undefined) return { failed: malformedAnswer("the answer's value is not base64url text", expectedKid) };
  if (operation === "encrypt" && !isBlock(bytes)) {
    return { failed: malformedAnswer("the answer's value is not what an RSA key makes", expectedKid) };
  }
  const header = (name: string): string => response.headers.get(name) ?? "";
  return {
    ok: {
      kid,
      value: bytes,
      origin: {
        date: header("date"),
        requestId: header("x-ms-request-id"),
        region: header("x-ms-keyvault-region"),
      },
    },
  };
}

function failureWithoutAnswer(thrown: unknown, kid: string, host: string): Failure {
  if (thrown instanceof KmsEtcdError) return { retry: "never", error: thrown };
  // The SDK's guard against tokens for a vault that does not belong to the service it asks a token for.
  if (thrown instanceof Error && thrown.message.startsWith("The challenge ")) {
    return { ...malformedAnswer("it asks for a token of another service", kid), retry: "never" };
  }
  return networkFailure(thrown, `Key Vault at ${host}`);
}

function refuseOtherService(scope: string, resource: string): void {
  const asked = scope.replace(/\/+\.default$/, "").toLowerCase();
  if (asked === resource.toLowerCase()) return;
  throw new KmsEtcdError("key-unusable", `azure.json: cloud does not fit the vault, which wants tokens for ${asked}`, {
    remedy: "let cloud name the cloud of the vault",
  });
}
