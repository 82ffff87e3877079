/**
 * Tokens from @azure/identity. azure.json is read again for each, so a changed secret needs no restart.
 *
 * @azure/identity's library (MSAL) keeps things of its own. For managed identities it keeps them for the whole process: a
 * cache that cannot be told to forget a token which the vault refuses, and the HTTP client of the first request. So MSAL is
 * told that every token ends at once, token-source.ts keeps the only copy, and the HTTP client is found by async context.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { access, constants } from "node:fs/promises";
import type { HttpClient, PipelineResponse } from "@azure/core-rest-pipeline";
import type { TokenCredential, TokenCredentialOptions } from "@azure/identity";
import { KmsEtcdError } from "../../../core/errors";
import type { Outcome } from "./attempts";
import { type AzureCredentials, readAzureJson } from "./azure-json";
import { readClientCertificate } from "./client-certificate";
import type { AzureCloud } from "./clouds";
import type { Connections, Exchange } from "./connections";
import { loadLibraries } from "./load-libraries";
import { badCredentials, isManagedIdentity, tokenFailure } from "./token-failure";
import type { Token } from "./token-source";

export interface CredentialSettings {
  readonly credentialsFile: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly cloud: AzureCloud;
  /** What tokens are for: `https://vault.azure.net`. */
  readonly resource: string;
  readonly connections: Connections;
}

/** Tokens that end sooner than this are not taken from MSAL's cache (its tokenRenewalOffsetSeconds is 300). */
const lifetimeToldToMsal = 60;

const currentClient = new AsyncLocalStorage<HttpClient>();
let underWay = 0;
const clientInContext: HttpClient = {
  sendRequest(request) {
    const client = currentClient.getStore();
    if (client === undefined) throw new Error("a token was asked for outside of fetchToken");
    return client.sendRequest(request);
  },
};

/** Who issues tokens for these credentials, for messages. */
export function issuerOf(credentials: AzureCredentials, cloud: AzureCloud, exchange?: Exchange): string {
  if (isManagedIdentity(credentials)) return "the managed identity endpoint of this host";
  // MSAL knows newer names of some login hosts.
  return `Entra ID at ${new URL(exchange?.request.url ?? cloud.authority).host}`;
}

/** One request for a token, without retries. */
export async function fetchToken(settings: CredentialSettings, signal: AbortSignal): Promise<Outcome<Token>> {
  let credentials: AzureCredentials;
  try {
    ({ credentials } = await readAzureJson(settings.credentialsFile, settings.environment));
  } catch (thrown) {
    if (thrown instanceof KmsEtcdError) return { failed: badCredentials(thrown) };
    throw thrown;
  }
  let last: Exchange | undefined;
  let lifetimeMs: number | undefined;
  const inner = settings.connections.httpClient("AzureActiveDirectory", (exchange) => {
    last = exchange;
    const answer = exchange.response && readTokenAnswer(exchange.response);
    if (answer === undefined) return undefined;
    lifetimeMs = answer.lifetimeMs;
    return answer.forMsal;
  });
  const httpClient: HttpClient = {
    sendRequest(request) {
      request.abortSignal = signal;
      return inner.sendRequest(request);
    },
  };
  try {
    const credential = await createCredential(credentials, settings);
    const token = await inContext(httpClient, () => credential.getToken(`${settings.resource}/.default`));
    if (token !== null && lifetimeMs !== undefined) return { ok: { value: token.token, lifetimeMs } };
    return { failed: tokenFailure(last, undefined, credentials, issuerOf(credentials, settings.cloud, last)) };
  } catch (thrown) {
    return { failed: tokenFailure(last, thrown, credentials, issuerOf(credentials, settings.cloud, last)) };
  }
}

/** Before Node 24 an async context makes every promise of the process dearer, so it is in use only while a token is fetched. */
async function inContext<Result>(client: HttpClient, work: () => Promise<Result>): Promise<Result> {
  underWay += 1;
  try {
    return await currentClient.run(client, work);
  } finally {
    underWay -= 1;
    if (underWay === 0) currentClient.disable();
  }
}

async function createCredential(credentials: AzureCredentials, settings: CredentialSettings): Promise<TokenCredential> {
  const identity = loadLibraries();
  const options: TokenCredentialOptions = { httpClient: clientInContext, retryOptions: { maxRetries: 0 } };
  const entraOptions = {
    ...options,
    authorityHost: settings.cloud.authority,
    disableInstanceDiscovery: settings.cloud.privateAuthority,
  };
  switch (credentials.kind) {
    case "system-assigned-identity":
      return new identity.ManagedIdentityCredential(options);
    case "user-assigned-identity":
      return credentials.id.startsWith("/")
        ? new identity.ManagedIdentityCredential({ ...options, resourceId: credentials.id })
        : new identity.ManagedIdentityCredential({ ...options, clientId: credentials.id });
    case "client-secret":
      return new identity.ClientSecretCredential(
        credentials.tenantId,
        credentials.clientId,
        credentials.clientSecret,
        entraOptions,
      );
    case "client-certificate": {
      const certificate = await readClientCertificate(credentials.certificateFile, credentials.certificatePassword);
      return new identity.ClientCertificateCredential(
        credentials.tenantId,
        credentials.clientId,
        {
          certificate: certificate.pem,
          ...(certificate.password === undefined ? {} : { certificatePassword: certificate.password }),
        },
        entraOptions,
      );
    }
    case "workload-identity":
      await checkReadable(credentials.tokenFile);
      return new identity.WorkloadIdentityCredential({
        ...entraOptions,
        tenantId: credentials.tenantId,
        clientId: credentials.clientId,
        tokenFilePath: credentials.tokenFile,
      });
  }
}

/** MSAL hides why it could not read the file. */
async function checkReadable(tokenFile: string): Promise<void> {
  try {
    await access(tokenFile, constants.R_OK);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? "unknown reason";
    throw new KmsEtcdError(
      "not-found",
      `aadFederatedTokenFile names a file that cannot be read: ${tokenFile}: ${reason}`,
      {
        remedy:
          "project the service account's token into the plugin's pod, and name it in azure.json or AZURE_FEDERATED_TOKEN_FILE",
        cause,
      },
    );
  }
}

/** The token's real lifetime, and the answer that MSAL sees; undefined for answers that bring no token. */
function readTokenAnswer(response: PipelineResponse): { lifetimeMs: number; forMsal: PipelineResponse } | undefined {
  const answer = response.status === 200 ? parseObject(response.bodyAsText ?? "") : undefined;
  if (typeof answer?.["access_token"] !== "string") return undefined;
  const lifetimeMs = lifetime(answer, response);
  if (lifetimeMs === undefined) return undefined;
  const endsAt = Math.floor(Date.now() / 1_000) + lifetimeToldToMsal;
  const shortened = {
    ...answer,
    ...("expires_in" in answer ? { expires_in: String(lifetimeToldToMsal) } : {}),
    ...("expires_on" in answer ? { expires_on: String(endsAt) } : {}),
    refresh_in: undefined,
    ext_expires_in: undefined,
  };
  return { lifetimeMs, forMsal: { ...response, bodyAsText: JSON.stringify(shortened) } };
}

/** `expires_in` counts from now; `expires_on` (App Service has only that) is a time on the issuer's clock. */
function lifetime(answer: Readonly<Record<string, unknown>>, response: PipelineResponse): number | undefined {
  const seconds = Number(answer["expires_in"] ?? Number.NaN);
  if (Number.isFinite(seconds)) return seconds * 1_000;
  const expiresOn = answer["expires_on"];
  const until = Number.isFinite(Number(expiresOn)) ? Number(expiresOn) * 1_000 : Date.parse(String(expiresOn));
  const issuerNow = Date.parse(response.headers.get("date") ?? "");
  return Number.isNaN(until) ? undefined : until - (Number.isNaN(issuerNow) ? Date.now() : issuerNow);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
