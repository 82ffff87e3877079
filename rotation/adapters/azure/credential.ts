/**
 * Who we are to Azure. The variables of azure-native decide, in its own order, so that both providers of a program are the same principal;
 * without them it is what the Azure SDKs find: AZURE_* variables, workload identity, managed identity, Azure CLI.
 */
import { readFile } from "node:fs/promises";
import type { HttpClient } from "@azure/core-rest-pipeline";
import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  ManagedIdentityCredential,
  type TokenCredential,
} from "@azure/identity";
import { KmsEtcdError } from "../../../core/errors";
import type { AzureCloud, Environment } from "./azure-cloud";

/** How calls reach Azure; tests lead them elsewhere. */
export interface CallOptions {
  readonly httpClient?: HttpClient;
}

export function createCredential(environment: Environment, cloud: AzureCloud, calls: CallOptions): TokenCredential {
  const options = { authorityHost: cloud.authorityHost, ...calls };
  const given = (name: string): string | undefined => (environment[name] === "" ? undefined : environment[name]);
  const certificatePath = given("ARM_CLIENT_CERTIFICATE_PATH");
  if (certificatePath !== undefined) {
    const certificatePassword = given("ARM_CLIENT_CERTIFICATE_PASSWORD");
    return new ClientCertificateCredential(
      required("ARM_TENANT_ID", environment),
      required("ARM_CLIENT_ID", environment),
      { certificatePath, ...(certificatePassword === undefined ? {} : { certificatePassword }) },
      options,
    );
  }
  const secret = given("ARM_CLIENT_SECRET");
  if (secret !== undefined) {
    const tenant = required("ARM_TENANT_ID", environment);
    return new ClientSecretCredential(tenant, required("ARM_CLIENT_ID", environment), secret, options);
  }
  if (isOn(given("ARM_USE_OIDC"))) {
    return new ClientAssertionCredential(
      required("ARM_TENANT_ID", environment),
      required("ARM_CLIENT_ID", environment),
      () => assertion(environment),
      options,
    );
  }
  if (isOn(given("ARM_USE_MSI"))) {
    const clientId = given("ARM_CLIENT_ID");
    return clientId === undefined
      ? new ManagedIdentityCredential(options)
      : new ManagedIdentityCredential(clientId, options);
  }
  return new DefaultAzureCredential(options);
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && ["1", "t", "true"].includes(value.toLowerCase());
}

/** The token of whoever runs the pipeline, in exchange for which Entra ID gives one of its own. */
export async function assertion(environment: Environment): Promise<string> {
  const token = environment["ARM_OIDC_TOKEN"];
  if (token !== undefined && token !== "") return token;
  const file = environment["ARM_OIDC_TOKEN_FILE_PATH"];
  if (file !== undefined && file !== "") return readFile(file, "utf8");
  const address = environment["ARM_OIDC_REQUEST_URL"] ?? environment["ACTIONS_ID_TOKEN_REQUEST_URL"];
  const bearer = environment["ARM_OIDC_REQUEST_TOKEN"] ?? environment["ACTIONS_ID_TOKEN_REQUEST_TOKEN"];
  if (address === undefined || bearer === undefined) {
    throw new KmsEtcdError("invalid-input", "ARM_USE_OIDC is set, but no token can be had", {
      remedy: "set ARM_OIDC_TOKEN, ARM_OIDC_TOKEN_FILE_PATH, or ARM_OIDC_REQUEST_URL with ARM_OIDC_REQUEST_TOKEN",
    });
  }
  const url = new URL(address);
  url.searchParams.set("audience", environment["ARM_OIDC_AUDIENCE"] ?? "api://AzureADTokenExchange");
  const response = await fetch(url, { headers: { authorization: `Bearer ${bearer}`, accept: "application/json" } });
  const answer: unknown = response.ok ? await response.json() : undefined;
  if (typeof answer === "object" && answer !== null && "value" in answer && typeof answer.value === "string") {
    return answer.value;
  }
  throw new KmsEtcdError("permission-denied", `ARM_OIDC_REQUEST_URL answered ${response.status} and no token`, {
    remedy: "let the pipeline ask for identity tokens (in GitHub Actions: permissions: id-token: write)",
  });
}

function required(name: string, environment: Environment): string {
  const value = environment[name];
  if (value !== undefined && value !== "") return value;
  throw new KmsEtcdError("invalid-input", `${name} is not set`, {
    remedy: "set ARM_CLIENT_ID and ARM_TENANT_ID along with the credential, as azure-native wants it",
  });
}
