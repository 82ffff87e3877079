/** What went wrong with a call to Azure, in our words: what was refused, why, and what to do. No token and no body gets into a message. */
import type { PipelinePolicy } from "@azure/core-rest-pipeline";
import { KmsEtcdError } from "../../../core/errors";

/** Codes that Key Vault gives inside a 403. */
const refusals: Readonly<Record<string, readonly [string, string]>> = {
  ForbiddenByRbac: [
    "we have no role for its keys",
    "grant Key Vault Crypto Officer on the vault to who runs Pulumi, and give it some minutes",
  ],
  ForbiddenByPolicy: [
    "its access policies give us no permission for its keys",
    "give who runs Pulumi the key permissions get, list and update",
  ],
  ForbiddenByFirewall: [
    "its firewall does not let this machine in",
    "run Pulumi in a network that the vault lets in, or add this machine's address to the vault's firewall",
  ],
  ForbiddenByConnection: [
    "it has no public endpoint, and this machine has no private one",
    "run Pulumi where the vault's private endpoint can be reached",
  ],
};

/** Whether the vault's network settings have refused, which no grant can change. */
export function isNetworkRefusal(failure: KmsEtcdError): boolean {
  return ["ForbiddenByFirewall", "ForbiddenByConnection"].includes(innerCode(failure.cause) ?? "");
}

/** `thrown` by an Azure SDK while it worked on `what`. */
export function azureFailure(thrown: unknown, what: string): KmsEtcdError {
  if (thrown instanceof KmsEtcdError) return thrown;
  const { name, statusCode, code, message } = thrown as {
    name?: string;
    statusCode?: number;
    code?: string;
    message?: string;
  };
  if (name === "AbortError")
    return new KmsEtcdError("cancelled", `stopped while asking for ${what}`, { cause: thrown });
  if (
    name === "CredentialUnavailableError" ||
    name === "AggregateAuthenticationError" ||
    name === "AuthenticationError"
  ) {
    return new KmsEtcdError("permission-denied", `no Azure credential can be used to reach ${what}`, {
      remedy:
        "sign in with `az login`, or set ARM_CLIENT_ID, ARM_TENANT_ID and ARM_CLIENT_SECRET (or AZURE_*), or ARM_USE_OIDC, or ARM_USE_MSI",
      cause: thrown,
    });
  }
  if (statusCode === undefined) {
    return new KmsEtcdError("unreachable", `${what} can't be reached: ${code ?? firstLine(message)}`, {
      remedy: "see whether its name resolves here, and whether a proxy or a private endpoint is needed",
      cause: thrown,
    });
  }
  if (statusCode === 404) return new KmsEtcdError("not-found", `there is no such thing as ${what}`, { cause: thrown });
  if (statusCode === 403) return refusalOf(thrown, what);
  if (statusCode === 429) return new KmsEtcdError("throttled", `${what}: too many requests`, { cause: thrown });
  const problem = statusCode < 500 ? "invalid-input" : "unreachable";
  return new KmsEtcdError(problem, `${what}: ${statusCode} ${code ?? ""} ${firstLine(message)}`.trimEnd(), {
    cause: thrown,
  });
}

function refusalOf(thrown: unknown, what: string): KmsEtcdError {
  const [reason, remedy] = refusals[innerCode(thrown) ?? ""] ?? [
    "it refuses",
    "see who runs Pulumi, and what it may do there",
  ];
  return new KmsEtcdError("permission-denied", `${what} is not for us: ${reason}`, { remedy, cause: thrown });
}

/** Key Vault's reason for a 403, `error.innererror.code` in its body, which the SDK's own errors leave out. */
export const keepRefusal: PipelinePolicy = {
  name: "kms-etcd-keep-refusal",
  async sendRequest(request, next) {
    const response = await next(request);
    const inner = /"innererror"\s*:\s*\{[^{}]*?"code"\s*:\s*"(\w+)"/.exec(response.bodyAsText ?? "")?.[1];
    if (response.status === 403 && inner !== undefined) response.headers.set(refusalHeader, inner);
    return response;
  },
};

/** Errors keep the response's headers. */
const refusalHeader = "x-kms-etcd-refusal";

function innerCode(thrown: unknown): string | undefined {
  const response = (thrown as { response?: { headers?: { get(name: string): string | undefined } } } | undefined)
    ?.response;
  return response?.headers?.get(refusalHeader);
}

function firstLine(message: string | undefined): string {
  return (message ?? "").split("\n", 1)[0] ?? "";
}
