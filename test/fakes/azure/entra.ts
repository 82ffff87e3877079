/**
 * Entra ID as applications without a user see it: client secret, client certificate and federated token against the v2.0
 * token endpoint, and the v1 endpoint that Azure/kubernetes-kms uses. Errors carry Entra's own AADSTS numbers.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomUUID, X509Certificate } from "node:crypto";
import { signToken, verifyToken } from "./signed-token";
import { jsonAnswer, type Routed, type WireAnswer, type WireRequest } from "./wire";

export interface Application {
  readonly tenantId: string;
  readonly clientId: string;
  /** The service principal's object id: what a vault gives permissions to. */
  readonly objectId: string;
  secret?: string;
  /** PEM. */
  certificate?: string;
  federated?: { readonly issuer: string; readonly subject: string; readonly audience: string; readonly key: KeyObject };
}

export interface Entra {
  addApplication(application: Partial<Application>): Application;
  /** How long new tokens live. */
  tokenLifetimeSeconds: number;
  /** Requests for tokens that were granted. */
  readonly granted: () => number;
  readonly publicKey: KeyObject;
  /** A token for a principal, as the metadata service hands it out too. */
  issue(principal: { objectId: string; clientId: string; tenantId: string }, resource: string): IssuedToken;
  route(request: WireRequest): Routed;
}

export interface IssuedToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
  readonly expiresOn: number;
}

/** What tokens can be for. */
const knownResources = [
  "https://vault.azure.net",
  "https://vault.azure.cn",
  "https://vault.usgovcloudapi.net",
  "https://managedhsm.azure.net",
  "https://managedhsm.azure.cn",
  "https://management.azure.com",
  "https://graph.microsoft.com",
];

/** One for all fakes of a process: making one takes longer than most tests. */
let signingKeys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;

class EntraError extends Error {
  readonly error: string;
  readonly number: number;
  readonly status: number;

  constructor(error: string, number: number, text: string, status = 401) {
    super(`AADSTS${number}: ${text}`);
    this.error = error;
    this.number = number;
    this.status = status;
  }
}

export function createEntra(now: () => number, extraResources: readonly string[] = []): Entra {
  signingKeys ??= generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = signingKeys;
  const kid = createHash("sha256")
    .update(keys.publicKey.export({ type: "spki", format: "der" }))
    .digest("base64url");
  const applications: Application[] = [];
  const resources = [...knownResources, ...extraResources];
  let granted = 0;

  const entra: Entra = {
    tokenLifetimeSeconds: 3_600,
    publicKey: keys.publicKey,
    granted: () => granted,
    addApplication(given) {
      const application = { tenantId: randomUUID(), clientId: randomUUID(), objectId: randomUUID(), ...given };
      applications.push(application);
      return application;
    },
    issue({ objectId, clientId, tenantId }, resource) {
      granted += 1;
      const issuedAt = Math.floor(now() / 1_000);
      const expiresOn = issuedAt + entra.tokenLifetimeSeconds;
      const claims = {
        aud: resource,
        iss: `https://sts.windows.net/${tenantId}/`,
        iat: issuedAt,
        nbf: issuedAt,
        exp: expiresOn,
        appid: clientId,
        oid: objectId,
        sub: objectId,
        tid: tenantId,
        uti: randomUUID(),
        ver: "1.0",
      };
      return {
        accessToken: signToken(claims, keys.privateKey, { kid }),
        expiresInSeconds: entra.tokenLifetimeSeconds,
        expiresOn,
      };
    },
    route(request) {
      const [tenant = "", ...rest] = request.path.slice(1).split("/");
      const endpoint = rest.join("/");
      switch (endpoint) {
        case "v2.0/.well-known/openid-configuration":
          return { place: undefined, answer: () => discovery(request, tenant) };
        case "discovery/v2.0/keys":
          return {
            place: undefined,
            answer: () => jsonAnswer(200, { keys: [{ ...keys.publicKey.export({ format: "jwk" }), use: "sig", kid }] }),
          };
        case "oauth2/v2.0/token":
        case "oauth2/token":
          return { place: "token", answer: () => tokenAnswer(request, tenant, endpoint === "oauth2/token") };
        default:
          return { place: undefined, answer: () => ({ status: 404, headers: {}, body: "" }) };
      }
    },
  };

  function tokenAnswer(request: WireRequest, tenant: string, v1: boolean): WireAnswer {
    try {
      const form = readForm(request);
      const application = authenticate(request, form, tenant);
      const resource = v1 ? resourceOf(form.get("resource") ?? "") : resourceOf(scopeResource(form));
      const token = entra.issue(application, resource);
      const common = { token_type: "Bearer", access_token: token.accessToken };
      return jsonAnswer(
        200,
        v1
          ? {
              ...common,
              resource,
              expires_in: String(token.expiresInSeconds),
              expires_on: String(token.expiresOn),
              not_before: String(token.expiresOn - token.expiresInSeconds),
            }
          : { ...common, expires_in: token.expiresInSeconds, ext_expires_in: token.expiresInSeconds },
        { "cache-control": "no-store, no-cache", pragma: "no-cache", "x-ms-request-id": randomUUID() },
      );
    } catch (thrown) {
      if (!(thrown instanceof EntraError)) throw thrown;
      return jsonAnswer(thrown.status, {
        error: thrown.error,
        error_description: `${thrown.message} Trace ID: ${randomUUID()} Correlation ID: ${randomUUID()}`,
        error_codes: [thrown.number],
        timestamp: new Date(now()).toISOString(),
        trace_id: randomUUID(),
        correlation_id: randomUUID(),
      });
    }
  }

  function readForm(request: WireRequest): URLSearchParams {
    if (request.method !== "POST")
      throw new EntraError("invalid_request", 900561, "The endpoint only accepts POST requests.", 400);
    if (!/^application\/x-www-form-urlencoded\b/.test(request.headers["content-type"] ?? "")) {
      throw new EntraError("invalid_request", 900144, "The request body must be a form.", 400);
    }
    const form = new URLSearchParams(request.body);
    if (form.get("grant_type") !== "client_credentials") {
      throw new EntraError("unsupported_grant_type", 70003, "The grant type is not supported.", 400);
    }
    return form;
  }

  function authenticate(request: WireRequest, form: URLSearchParams, tenant: string): Application {
    if (!/^[0-9a-f-]{36}$/i.test(tenant) && !tenant.includes(".")) {
      throw new EntraError(
        "invalid_request",
        900023,
        "Specified tenant identifier is neither a valid DNS name nor a GUID.",
        400,
      );
    }
    if (!applications.some((candidate) => candidate.tenantId === tenant)) {
      throw new EntraError("invalid_request", 90002, `Tenant '${tenant}' not found.`, 400);
    }
    const clientId = form.get("client_id") ?? "";
    const application = applications.find(
      (candidate) => candidate.clientId === clientId && candidate.tenantId === tenant,
    );
    if (application === undefined) {
      throw new EntraError(
        "unauthorized_client",
        700016,
        `Application with identifier '${clientId}' was not found in the directory.`,
        400,
      );
    }
    const secret = form.get("client_secret");
    if (secret !== null) {
      if (application.secret === undefined || secret !== application.secret) {
        throw new EntraError("invalid_client", 7000215, `Invalid client secret provided for app '${clientId}'.`);
      }
      return application;
    }
    if (form.get("client_assertion_type") !== "urn:ietf:params:oauth:client-assertion-type:jwt-bearer") {
      throw new EntraError(
        "invalid_client",
        7000218,
        "The request body must contain client_assertion or client_secret.",
      );
    }
    checkAssertion(form.get("client_assertion") ?? "", application, `https://${request.host}/${tenant}/`);
    return application;
  }

  function checkAssertion(assertion: string, application: Application, audience: string): void {
    const claims = unverifiedClaims(assertion);
    if (claims["iss"] === application.clientId) checkCertificateAssertion(assertion, application, audience);
    else checkFederatedToken(assertion, application, claims);
  }

  function checkCertificateAssertion(assertion: string, application: Application, audience: string): void {
    const certificate =
      application.certificate === undefined ? undefined : new X509Certificate(application.certificate);
    const verified = certificate && verifyToken(assertion, certificate.publicKey);
    const thumbprints = certificate && [
      createHash("sha1").update(certificate.raw).digest("base64url"),
      createHash("sha256").update(certificate.raw).digest("base64url"),
    ];
    const named = [verified?.header["x5t"], verified?.header["x5t#S256"]].find((value) => typeof value === "string");
    if (verified === undefined || !thumbprints?.includes(named as string)) {
      throw new EntraError(
        "invalid_client",
        700027,
        "The certificate with identifier used to sign the client assertion is not registered on application.",
      );
    }
    const seconds = now() / 1_000;
    const { sub, aud, nbf, exp } = verified.claims;
    if (sub !== application.clientId || typeof aud !== "string" || !aud.startsWith(audience)) {
      throw new EntraError("invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.");
    }
    // Five minutes of difference between the clocks are allowed.
    if (Number(nbf) > seconds + 300 || Number(exp) < seconds - 300) {
      throw new EntraError("invalid_client", 700024, "Client assertion is not within its valid time range.");
    }
  }

  function checkFederatedToken(
    assertion: string,
    { federated }: Application,
    claims: Readonly<Record<string, unknown>>,
  ): void {
    if (federated === undefined || claims["iss"] !== federated.issuer) {
      throw new EntraError(
        "invalid_client",
        700211,
        "No matching federated identity record found for presented assertion issuer.",
      );
    }
    if (claims["sub"] !== federated.subject) {
      throw new EntraError(
        "invalid_client",
        700213,
        "No matching federated identity record found for presented assertion subject.",
      );
    }
    if (claims["aud"] !== federated.audience) {
      throw new EntraError(
        "invalid_client",
        700212,
        "No matching federated identity record found for presented assertion audience.",
      );
    }
    if (verifyToken(assertion, federated.key) === undefined) {
      throw new EntraError("invalid_client", 5000224, "The signature of the assertion is not valid.");
    }
    if (Number(claims["exp"]) < now() / 1_000) {
      throw new EntraError("invalid_client", 700024, "Client assertion is not within its valid time range.");
    }
  }

  function resourceOf(asked: string): string {
    const resource = asked.replace(/\/$/, "");
    if (!resources.includes(resource)) {
      throw new EntraError("invalid_resource", 500011, "The resource principal was not found in the tenant.", 400);
    }
    return resource;
  }

  return entra;
}

function scopeResource(form: URLSearchParams): string {
  const scopes = (form.get("scope") ?? "").split(" ").filter((scope) => scope.endsWith("/.default"));
  return scopes[0]?.slice(0, -"/.default".length) ?? "";
}

function discovery(request: WireRequest, tenant: string): WireAnswer {
  const base = `https://${request.host}/${tenant}`;
  return jsonAnswer(200, {
    issuer: `${base}/v2.0`,
    token_endpoint: `${base}/oauth2/v2.0/token`,
    authorization_endpoint: `${base}/oauth2/v2.0/authorize`,
    jwks_uri: `${base}/discovery/v2.0/keys`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "private_key_jwt"],
    response_types_supported: ["code", "id_token"],
    subject_types_supported: ["pairwise"],
    id_token_signing_alg_values_supported: ["RS256"],
  });
}

function unverifiedClaims(token: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as Record<string, unknown>;
  } catch {
    throw new EntraError("invalid_request", 50027, "JWT token is invalid or malformed.", 400);
  }
}
