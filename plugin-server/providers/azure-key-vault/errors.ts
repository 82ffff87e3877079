/**
 * What Key Vault's answers mean for the key, and whether asking again can help. Only codes from the answer are shown, never
 * its text: whatever answers at the vault's address might echo the request.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { Failure } from "./attempts";
import { clockNote } from "./clock-difference";
import type { Answer } from "./connections";
import { retryAfterMs } from "./retry-after";

export type KeyOperation = "encrypt" | "decrypt";

/** The failure behind an answer that is not 200. `kid` names the key in messages. */
export function vaultFailure(response: Answer, operation: KeyOperation, kid: string): Failure {
  const { status } = response;
  const details = readError(response);
  const trace = `${details.codes === "" ? "" : `, ${details.codes}`}${requestId(response)}`;
  const described = `status ${status}${trace}`;

  if (status === 429) {
    const waits = retryAfterMs(response.headers);
    const asked = waits === undefined ? "" : `, which asks to wait ${Math.ceil(waits / 1_000)} s`;
    return {
      retry: "later",
      retryAfterMs: waits,
      error: new KmsEtcdError("throttled", `Key Vault throttles ${kid}${asked} (${described})`, {
        remedy: "find out what else uses this vault and subscription, or give the cluster a vault of its own",
      }),
    };
  }
  if (status === 408 || status >= 500) {
    return {
      retry: "later",
      retryAfterMs: retryAfterMs(response.headers),
      error: new KmsEtcdError("unreachable", `Key Vault failed for ${kid} (${described})`, {
        remedy: "see the vault's health in the Azure portal if it lasts",
      }),
    };
  }
  if (!details.isKeyVault) return foreignAnswer(described, kid);
  switch (status) {
    case 401:
      return unusable(
        `the vault of ${kid} refuses the token (${described})${clockNote(response.headers)}`,
        "check that azure.json names the vault's tenant and cloud, and set this host's clock",
      );
    case 403:
      return forbidden(details, operation, kid, described);
    case 404:
      return unusable(
        `the vault has no key ${kid} (${described})`,
        "check --keyvault-name, --key-name and --key-version; recover the key if it was deleted",
      );
    case 409:
      return unusable(`key ${kid} is deleted or being deleted (${described})`, "recover the key in the vault");
    case 400:
    case 413:
      return operation === "decrypt"
        ? {
            retry: "never",
            error: new KmsEtcdError("corrupt", `Key Vault cannot decrypt this with ${kid} (${described})`, {
              remedy:
                "the stored value is damaged or was encrypted with another key; if all values fail, see the key's type",
            }),
          }
        : {
            retry: "never",
            error: new KmsEtcdError("invalid-input", `Key Vault refuses to encrypt this with ${kid} (${described})`, {
              remedy: "the key must be of type RSA or RSA-HSM, and the data shorter than its size allows",
            }),
          };
    default:
      return foreignAnswer(described, kid);
  }
}

/** A success whose content is not what Key Vault answers. `problem` must not quote the content. */
export function malformedAnswer(problem: string, kid: string): Failure {
  return {
    retry: "later",
    error: new KmsEtcdError("unreachable", `what answered for ${kid} is not Key Vault: ${problem}`, {
      remedy: "see what stands between this host and the vault",
    }),
  };
}

/** What would be the caller's fault, where the caller's bytes are such as every usable key takes: then it is the key's. */
export function ofKey(thrown: unknown, algorithm: string): unknown {
  if (!(thrown instanceof KmsEtcdError) || (thrown.code !== "corrupt" && thrown.code !== "invalid-input"))
    return thrown;
  return new KmsEtcdError("key-unusable", thrown.message, {
    remedy: `the key must be of type RSA or RSA-HSM, and its vault must allow ${algorithm}`,
    cause: thrown,
  });
}

interface ErrorDetails {
  /** `Forbidden/KeyDisabled`; empty when the answer has none. */
  readonly codes: string;
  readonly message: string;
  readonly isKeyVault: boolean;
}

function forbidden(details: ErrorDetails, operation: KeyOperation, kid: string, described: string): Failure {
  const says = (pattern: RegExp): boolean => pattern.test(details.codes) || pattern.test(details.message);
  if (says(/disabled/i)) {
    return unusable(`key ${kid} is disabled (${described})`, "enable this version of the key, because data needs it");
  }
  if (says(/expired key|KeyExpired|not yet valid|NotYetValid/i)) {
    return unusable(
      `key ${kid} is outside its period of validity (${described})`,
      "change the activation or expiration date of this version of the key",
    );
  }
  if (says(/ByFirewall|ByConnection|not authorized from|public network access/i)) {
    return unusable(
      `the vault's network rules refuse this host for ${kid} (${described})`,
      "allow this host's network in the vault, or give it a private endpoint",
    );
  }
  if (says(/OperationForbidden|not permitted on this key/i)) {
    return unusable(
      `key ${kid} does not permit ${operation} (${described})`,
      "create the key with the operations encrypt and decrypt",
    );
  }
  return unusable(
    `${operation} with ${kid} is denied (${described})`,
    'give the identity of azure.json the role "Key Vault Crypto User" (managed HSM: "Managed HSM Crypto User"), or an access policy with encrypt and decrypt',
  );
}

function unusable(message: string, remedy: string): Failure {
  return { retry: "never", error: new KmsEtcdError("key-unusable", message, { remedy }) };
}

function foreignAnswer(described: string, kid: string): Failure {
  return {
    retry: "never",
    error: new KmsEtcdError("unreachable", `what answered for ${kid} is not Key Vault (${described})`, {
      remedy: "see what stands between this host and the vault",
    }),
  };
}

function readError(response: Answer): ErrorDetails {
  const error = field(parseJson(response.bodyAsText ?? ""), "error");
  const code = field(error, "code");
  const inner = field(field(error, "innererror"), "code");
  const message = field(error, "message");
  const text = typeof message === "string" ? message : "";
  // Why a token is refused stands in the text only, as a number: AKV10032 is a wrong tenant, AKV10022 a wrong cloud.
  const number = /^AKV\d{5}\b/.exec(text)?.[0];
  return {
    codes: [code, inner, number].filter(isCode).join("/"),
    message: text,
    // A 401 has no body worth reading; its challenge is what makes it Key Vault's.
    isKeyVault: isCode(code) || (response.status === 401 && response.headers.has("www-authenticate")),
  };
}

function requestId(response: Answer): string {
  const id = response.headers.get("x-ms-request-id");
  return id !== undefined && /^[\w-]{1,64}$/.test(id) ? `, x-ms-request-id ${id}` : "";
}

function isCode(value: unknown): value is string {
  return typeof value === "string" && /^\w{1,64}$/.test(value);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
