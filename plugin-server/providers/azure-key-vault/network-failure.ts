/** What a connection's error means. Only its code is shown: other parts of it may hold the request. */
import { KmsEtcdError } from "../../../core/errors";
import type { Failure } from "./attempts";

const certificateError = /^(CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH)/;

/** `service` is how people know the other side: "Key Vault at myvault.vault.azure.net". */
export function networkFailure(thrown: unknown, service: string): Failure {
  const code = errorCode(thrown);
  if (certificateError.test(code)) {
    const clock = code === "CERT_NOT_YET_VALID" || code === "CERT_HAS_EXPIRED";
    return {
      retry: "never",
      error: new KmsEtcdError("unreachable", `the certificate of ${service} is not accepted: ${code}`, {
        remedy: clock
          ? "check this host's clock, and what stands between this host and Azure"
          : "let NODE_EXTRA_CA_CERTS name the authority's certificate if a proxy or a private cloud stands behind it",
      }),
    };
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return {
      retry: "later",
      error: new KmsEtcdError("unreachable", `the name of ${service} has no address here: ${code}`, {
        remedy: "check the name and this host's DNS; a private endpoint needs its private DNS zone",
      }),
    };
  }
  return {
    retry: "later",
    error: new KmsEtcdError("unreachable", `the connection to ${service} failed: ${code}`, {
      remedy: "check network, firewall and HTTPS_PROXY of this host",
    }),
  };
}

function errorCode(thrown: unknown): string {
  for (const candidate of [thrown, (thrown as Error | undefined)?.cause, ...innerErrors(thrown)]) {
    const code = (candidate as NodeJS.ErrnoException | undefined)?.code;
    if (typeof code === "string" && /^[A-Z0-9_]+$/.test(code)) return code;
  }
  return thrown instanceof Error ? thrown.name : "unknown reason";
}

/** Node tries several addresses and reports all of them together. */
function innerErrors(thrown: unknown): readonly unknown[] {
  return thrown instanceof AggregateError ? thrown.errors : [];
}
