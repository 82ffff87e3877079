/**
 * When this version of the key expires: one GET on the key, which needs a permission that encrypting does not (`get`; the role
 * Key Vault Crypto User has it). The SDK is not asked: it has no call that leaves the key's public part out of the client.
 */
import { randomUUID } from "node:crypto";
import type { HttpClient, PipelineResponse } from "@azure/core-rest-pipeline";
import { KmsEtcdError } from "../../../core/errors";
import { loadLibraries } from "./load-libraries";
import type { TokenSource } from "./token-source";

const serviceVersion = "7.4";

export async function readKeyExpiry(
  kid: string,
  { tokens, httpClient }: { readonly tokens: TokenSource; readonly httpClient: HttpClient },
  signal: AbortSignal,
): Promise<Date | "never"> {
  const { createHttpHeaders } = loadLibraries();
  const requestId = randomUUID();
  const response = await httpClient.sendRequest({
    url: `${kid}?api-version=${serviceVersion}`,
    method: "GET",
    headers: createHttpHeaders({
      accept: "application/json",
      authorization: `Bearer ${await tokens.get(signal)}`,
      "x-ms-client-request-id": requestId,
    }),
    abortSignal: signal,
    requestId,
    timeout: 0,
    withCredentials: false,
  });
  if (response.status !== 200) throw refusal(kid, response.status);
  return expiryIn(response, kid);
}

function expiryIn({ bodyAsText }: PipelineResponse, kid: string): Date | "never" {
  let body: unknown;
  try {
    body = JSON.parse(bodyAsText ?? "");
  } catch {
    body = undefined;
  }
  const attributes = field(body, "attributes");
  if (typeof attributes !== "object" || attributes === null) {
    throw new KmsEtcdError("unreachable", `what answered for ${kid} is not Key Vault: the answer has no attributes`);
  }
  const seconds = field(attributes, "exp");
  return typeof seconds === "number" ? new Date(seconds * 1_000) : "never";
}

function refusal(kid: string, status: number): KmsEtcdError {
  return status === 403
    ? new KmsEtcdError("permission-denied", `Key Vault does not say when ${kid} expires (status 403)`, {
        remedy: "allow the identity of azure.json to get the key, if its expiry shall be in the metrics",
      })
    : new KmsEtcdError("unreachable", `Key Vault does not say when ${kid} expires (status ${status})`);
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
