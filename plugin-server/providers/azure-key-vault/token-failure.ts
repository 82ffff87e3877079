/** Why there is no token, in terms of azure.json. Entra's own texts are not shown: some quote what was sent. */
import { KmsEtcdError } from "../../../core/errors";
import type { Failure } from "./attempts";
import type { AzureCredentials } from "./azure-json";
import { clockNote } from "./clock-difference";
import type { Exchange } from "./connections";
import { networkFailure } from "./network-failure";
import { retryAfterMs } from "./retry-after";

/** Entra's error numbers that point at one field (learn.microsoft.com/entra/identity-platform/reference-error-codes). */
const entraProblems: Readonly<Record<string, readonly [field: string, problem: string]>> = {
  "7000215": ["aadClientSecret", "is not a secret of this application"],
  "7000222": ["aadClientSecret", "has expired"],
  "700016": ["aadClientId", "is no application of the tenant in tenantId"],
  "7000112": ["aadClientId", "is an application that is disabled"],
  "90002": ["tenantId", "is no tenant of this cloud"],
  "900021": ["tenantId", "is no tenant"],
  "900023": ["tenantId", "is neither a tenant's id nor its domain"],
  "700027": ["aadClientCertPath", "names a certificate that the application does not have"],
  "700024": ["aadClientCertPath", "made an assertion outside its period of validity"],
  "70021": ["aadFederatedTokenFile", "holds a token for which the application has no federated credential"],
  "700211": ["aadFederatedTokenFile", "holds a token whose issuer is in no federated credential of the application"],
  "700212": ["aadFederatedTokenFile", "holds a token whose audience is in no federated credential of the application"],
  "700213": ["aadFederatedTokenFile", "holds a token whose subject is in no federated credential of the application"],
  "500011": ["cloud", "is not the cloud in which the tenant knows Key Vault"],
};

/** `exchange` is the last one with the issuer; without one, the credentials could not even be prepared. */
export function tokenFailure(
  exchange: Exchange | undefined,
  thrown: unknown,
  credentials: AzureCredentials,
  issuer: string,
): Failure {
  if (thrown instanceof KmsEtcdError) return badCredentials(thrown);
  if (exchange === undefined) return unprepared(thrown, credentials);
  if (exchange.response === undefined) return networkFailure(exchange.failure, issuer);
  const { status, headers, bodyAsText } = exchange.response;
  const described = `status ${status}`;
  if (status === 429) {
    return {
      retry: "later",
      retryAfterMs: retryAfterMs(headers),
      error: new KmsEtcdError("throttled", `${issuer} throttles token requests (${described})`, {
        remedy: "find out what else asks for tokens of this identity",
      }),
    };
  }
  if (isManagedIdentity(credentials)) {
    // 404 and 410 mean that the metadata service is being updated (IMDS documentation, "Retry guidance").
    if (status === 404 || status === 410 || status === 408 || status >= 500 || status < 300)
      return failing(issuer, described, headers);
    return refused(
      credentials.kind === "user-assigned-identity"
        ? "azure.json: userAssignedIdentityID names no identity of this host"
        : "azure.json: userAssignedIdentityID is empty, and this host has no system-assigned identity",
      `${issuer}: ${described}`,
      credentials.kind === "user-assigned-identity"
        ? "assign the identity to this virtual machine, or correct the field"
        : "turn on the virtual machine's system-assigned identity, or name a user-assigned one in userAssignedIdentityID",
    );
  }
  if (status === 408 || status >= 500 || status < 300) return failing(issuer, described, headers);
  const number = entraNumber(bodyAsText ?? "");
  const [field, problem] = entraProblems[number] ?? [fieldsOf(credentials), "is refused by Entra"];
  return refused(
    `azure.json: ${field} ${problem}`,
    `${issuer}: ${described}${number === "" ? "" : `, AADSTS${number}`}${clockNote(headers)}`,
    `correct ${field}, or the application in Entra`,
  );
}

export function isManagedIdentity(credentials: AzureCredentials): boolean {
  return credentials.kind === "system-assigned-identity" || credentials.kind === "user-assigned-identity";
}

/** A mistake in azure.json or a file that it names. Found during a call, it is not the caller's input that is wrong. */
export function badCredentials({ message, remedy, cause }: KmsEtcdError): Failure {
  const options = remedy === undefined ? { cause } : { remedy, cause };
  return { retry: "never", error: new KmsEtcdError("key-unusable", message, options) };
}

function unprepared(thrown: unknown, credentials: AzureCredentials): Failure {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  const reason = typeof code === "string" && /^[A-Z0-9_]+$/.test(code) ? `: ${code}` : "";
  return refused(
    `azure.json: no token can be asked for with ${fieldsOf(credentials)}${reason}`,
    "",
    "check the fields, and the file that one of them names",
  );
}

function fieldsOf(credentials: AzureCredentials): string {
  switch (credentials.kind) {
    case "system-assigned-identity":
      return "useManagedIdentityExtension";
    case "user-assigned-identity":
      return "userAssignedIdentityID";
    case "client-secret":
      return "tenantId, aadClientId and aadClientSecret";
    case "client-certificate":
      return "tenantId, aadClientId, aadClientCertPath and aadClientCertPassword";
    case "workload-identity":
      return "tenantId, aadClientId and aadFederatedTokenFile";
  }
}

function refused(message: string, described: string, remedy: string): Failure {
  return {
    retry: "never",
    error: new KmsEtcdError("key-unusable", described === "" ? message : `${message} (${described})`, { remedy }),
  };
}

function failing(issuer: string, described: string, headers: Parameters<typeof retryAfterMs>[0]): Failure {
  return {
    retry: "later",
    retryAfterMs: retryAfterMs(headers),
    error: new KmsEtcdError("unreachable", `${issuer} gives no token (${described})`, {
      remedy: "see the service's health if it lasts",
    }),
  };
}

function entraNumber(body: string): string {
  return /AADSTS(\d{4,8})/.exec(body)?.[1] ?? "";
}
