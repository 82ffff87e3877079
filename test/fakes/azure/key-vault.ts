/**
 * The data plane of Key Vault and managed HSM: challenge, tokens, permissions, states of keys, and RSA. Strict: what the
 * service refuses is refused here, in its words, so that a client cannot get used to more than there is.
 */
import { randomUUID } from "node:crypto";
import type { Entra } from "./entra";
import { type FaultPlace, vaultError } from "./faults";
import { keyBundle, manageKey } from "./key-management";
import { type RsaAlgorithm, rsaAlgorithms, rsaDecrypt, rsaEncrypt } from "./rsa-decrypt";
import { verifyToken } from "./signed-token";
import { createVaultKeys, type KeyOperation, type VaultKeys, type VaultKeyVersion } from "./vault-keys";
import { jsonAnswer, type Routed, type WireAnswer, type WireRequest } from "./wire";

export interface FakeVault {
  readonly host: string;
  readonly tenantId: string;
  readonly keys: VaultKeys;
  grant(objectId: string, ...operations: readonly VaultOperation[]): void;
  revoke(objectId: string): void;
  /** Tokens that it has accepted so far count as expired from now on. */
  expireTokens(): void;
  /** Which of the vault's rules refuses the caller's network, if one does. */
  networkRule: "ForbiddenByFirewall" | "ForbiddenByConnection" | undefined;
  /** Decides instead of `grant` and `networkRule`, once it is set: a vault that ARM has made looks at ARM's permissions. */
  policy: VaultPolicy | undefined;
  /** Answers the same request with the same bytes again, for measuring clients without measuring RSA. */
  cacheAnswers: boolean;
  route(request: WireRequest): Routed;
}

/** What a caller may do with keys; the permissions of access policies have the same names. */
export type VaultOperation = KeyOperation | "get" | "list" | "create" | "update" | "delete" | "recover";

/** Which rule refuses the caller; undefined when none does. */
export type VaultPolicy = (objectId: string, operation: VaultOperation) => VaultRefusal | undefined;

export type VaultRefusal = "ForbiddenByFirewall" | "ForbiddenByConnection" | "ForbiddenByRbac" | "ForbiddenByPolicy";

/** Versions of the data plane's API that the service has or had. */
const apiVersions = ["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01"];

const region = "westeurope";

export function createVault(
  settings: {
    readonly host: string;
    readonly tenantId: string;
    /** What its tokens must be for. */
    readonly resource: string;
    readonly authority: string;
  },
  entra: Entra,
  now: () => number,
): FakeVault {
  const keys = createVaultKeys(`https://${settings.host}`);
  const permissions = new Map<string, Set<string>>();
  const cached = new Map<string, WireAnswer>();
  // A token says only to the second when it was issued: too coarse to expire the ones before a moment.
  const accepted = new Set<string>();
  const signed = new Map<string, ReturnType<typeof verifyToken>>();
  let expired: ReadonlySet<string> = new Set();

  const vault: FakeVault = {
    host: settings.host,
    tenantId: settings.tenantId,
    keys,
    networkRule: undefined,
    policy: undefined,
    cacheAnswers: false,
    grant(objectId, ...operations) {
      const had = permissions.get(objectId) ?? new Set<string>();
      permissions.set(objectId, new Set([...had, ...operations]));
    },
    revoke: (objectId) => void permissions.delete(objectId),
    expireTokens() {
      expired = new Set(accepted);
    },
    route(request) {
      const operation = /^\/keys\/[^/]+\/[^/]*\/(encrypt|decrypt)$/.exec(request.path)?.[1] as FaultPlace | undefined;
      const place = request.headers["authorization"] === undefined ? "challenge" : operation;
      return { place, answer: () => withServiceHeaders(answer(request), request) };
    },
  };

  function answer(request: WireRequest): WireAnswer {
    const token = /^Bearer (\S+)$/.exec(request.headers["authorization"] ?? "")?.[1];
    if (token === undefined) return unauthorized("AKV10000: Request is missing a Bearer or PoP token.");
    const caller = authenticate(token);
    if ("status" in caller) return caller;
    if (vault.networkRule !== undefined) {
      return vaultError(
        403,
        "Forbidden",
        "Client address is not authorized and caller is not a trusted service.",
        vault.networkRule,
      );
    }
    const version = request.query.get("api-version");
    if (version === null || !apiVersions.includes(version)) {
      return vaultError(400, "BadParameter", `The specified version (${version ?? ""}) is not recognized.`);
    }
    const cacheKey = `${caller.objectId} ${request.method} ${request.path} ${request.body}`;
    const known = vault.cacheAnswers ? cached.get(cacheKey) : undefined;
    if (known !== undefined) return known;
    const made = dispatch(request, caller.objectId);
    if (vault.cacheAnswers && made.status === 200) cached.set(cacheKey, made);
    return made;
  }

  function authenticate(token: string): { objectId: string } | WireAnswer {
    const verified = signed.get(token) ?? verifyToken(token, entra.publicKey);
    if (verified === undefined)
      return unauthorized("AKV10046: Unable to resolve the key used for signature validation.");
    signed.set(token, verified);
    const { aud, iss, exp, nbf, oid } = verified.claims;
    if (iss !== `https://sts.windows.net/${settings.tenantId}/`) {
      return unauthorized(
        `AKV10032: Invalid issuer. Expected one of https://sts.windows.net/${settings.tenantId}/, found ${String(iss)}.`,
      );
    }
    if (aud !== settings.resource)
      return unauthorized(`AKV10022: Invalid audience. Expected ${settings.resource}, found: ${String(aud)}.`);
    const seconds = now() / 1_000;
    if (expired.has(token) || Number(exp) <= seconds) return unauthorized("AKV10001: Token is expired.");
    // As Entra, Key Vault allows some minutes for clocks that differ.
    if (Number(nbf) > seconds + 300) return unauthorized("AKV10002: Token is not valid yet.");
    accepted.add(token);
    return { objectId: String(oid) };
  }

  function unauthorized(message: string): WireAnswer {
    return vaultError(401, "Unauthorized", message, undefined, {
      "www-authenticate": `Bearer authorization="${settings.authority}/${settings.tenantId}", resource="${settings.resource}"`,
    });
  }

  function dispatch(request: WireRequest, objectId: string): WireAnswer {
    const segments = request.path.split("/").slice(1);
    const [root, name = "", version = "", operation = ""] = segments;
    const managed = manageKey(request, keys, segments, now);
    if (managed !== undefined) return refusalOf(managed.operation, objectId) ?? managed.answer();
    if (root !== "keys" || name === "" || segments.length > 4) return notFound();
    if (operation === "") {
      if (request.method !== "GET") return methodNotAllowed(request);
      return withKey("get", name, version, objectId, (key) => jsonAnswer(200, keyBundle(key)));
    }
    if (!["encrypt", "decrypt", "wrapkey", "unwrapkey"].includes(operation.toLowerCase())) return notFound();
    if (request.method !== "POST") return methodNotAllowed(request);
    const canonical = { encrypt: "encrypt", decrypt: "decrypt", wrapkey: "wrapKey", unwrapkey: "unwrapKey" }[
      operation.toLowerCase()
    ] as KeyOperation;
    return withKey(canonical, name, version, objectId, (key) => use(key, canonical, request));
  }

  function refusalOf(operation: VaultOperation, objectId: string): WireAnswer | undefined {
    const granted = permissions.get(objectId) as ReadonlySet<string> | undefined;
    const rule =
      vault.policy === undefined
        ? granted?.has(operation) === true
          ? undefined
          : "ForbiddenByRbac"
        : vault.policy(objectId, operation);
    if (rule === undefined) return undefined;
    const message =
      rule === "ForbiddenByFirewall"
        ? "Client address is not authorized and caller is not a trusted service."
        : rule === "ForbiddenByConnection"
          ? "Public network access is disabled and request is not from a trusted service nor via an approved private link."
          : `Caller is not authorized to perform action on resource. Action: 'Microsoft.KeyVault/vaults/keys/${operation}/action'`;
    return vaultError(403, "Forbidden", message, rule);
  }

  function withKey(
    operation: KeyOperation | "get",
    name: string,
    version: string,
    objectId: string,
    act: (key: VaultKeyVersion) => WireAnswer,
  ): WireAnswer {
    const refusal = refusalOf(operation, objectId);
    if (refusal !== undefined) return refusal;
    const key = keys.find(name, version);
    if (key === undefined) {
      return vaultError(404, "KeyNotFound", `A key with (name/id) ${name}/${version} was not found in this key vault.`);
    }
    return act(key);
  }

  function use(key: VaultKeyVersion, operation: KeyOperation, request: WireRequest): WireAnswer {
    const makes = operation === "encrypt" || operation === "wrapKey";
    if (!key.enabled) {
      return vaultError(403, "Forbidden", `Operation ${operation} is not allowed on a disabled key.`, "KeyDisabled");
    }
    if (makes && key.notBefore !== undefined && now() < key.notBefore) {
      return vaultError(
        403,
        "Forbidden",
        `Operation ${operation} is not allowed on a key that is not yet valid.`,
        "KeyNotYetValid",
      );
    }
    if (makes && key.expires !== undefined && now() > key.expires) {
      return vaultError(403, "Forbidden", `Operation ${operation} is not allowed on an expired key.`, "KeyExpired");
    }
    if (!key.keyOps.includes(operation)) {
      return vaultError(
        403,
        "Forbidden",
        `Operation ${operation} is not permitted on this key.`,
        "KeyOperationForbidden",
      );
    }
    if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
      return vaultError(415, "UnsupportedMediaType", "The content type of the request is not supported.");
    }
    const input = readInput(request.body);
    if (typeof input === "string") return vaultError(400, "BadParameter", input);
    try {
      const value = makes
        ? rsaEncrypt(input.algorithm, input.value, key.publicKey)
        : rsaDecrypt(input.algorithm, input.value, key.privateKey);
      return jsonAnswer(200, { kid: key.kid, value: value.toString("base64url") });
    } catch {
      return vaultError(400, "BadParameter", "The parameter is incorrect.");
    }
  }

  return vault;
}

function readInput(body: string): { algorithm: RsaAlgorithm; value: Buffer } | string {
  let input: unknown;
  try {
    input = JSON.parse(body);
  } catch {
    return "The request body is not valid JSON.";
  }
  if (typeof input !== "object" || input === null) return "The request body is not an object.";
  const { alg, value } = input as Readonly<Record<string, unknown>>;
  const algorithm = rsaAlgorithms.find((known) => known === alg);
  if (algorithm === undefined) return "Property alg has an invalid value.";
  if (typeof value !== "string" || value === "") return "Property value is required.";
  const decoded = Buffer.from(value, "base64url");
  if (decoded.toString("base64url") !== value) return "Property value is not base64url without padding.";
  return { algorithm, value: decoded };
}

function notFound(): WireAnswer {
  return vaultError(404, "NotFound", "The resource was not found.");
}

function methodNotAllowed(request: WireRequest): WireAnswer {
  return vaultError(405, "MethodNotAllowed", `The method ${request.method} is not allowed here.`);
}

function withServiceHeaders(answer: WireAnswer, request: WireRequest): WireAnswer {
  const clientRequestId = request.headers["x-ms-client-request-id"];
  return {
    ...answer,
    headers: {
      "cache-control": "no-cache",
      pragma: "no-cache",
      "x-ms-keyvault-region": region,
      "x-ms-keyvault-service-version": "1.9.2115.1",
      "x-ms-request-id": randomUUID(),
      ...(clientRequestId === undefined ? {} : { "x-ms-client-request-id": clientRequestId }),
      ...answer.headers,
    },
  };
}
