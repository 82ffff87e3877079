/** Managed identities as a virtual machine (IMDS) and App Service hand them out. */
import { randomUUID } from "node:crypto";
import type { Entra } from "./entra";
import { jsonAnswer, type Routed, type WireAnswer, type WireRequest } from "./wire";

export interface ManagedIdentity {
  readonly tenantId: string;
  readonly clientId: string;
  readonly objectId: string;
  readonly resourceId: string;
}

export interface MetadataService {
  /** Gives the machine an identity; at most one is the system-assigned one. */
  assign(identity: Partial<ManagedIdentity> & { readonly systemAssigned?: boolean }): ManagedIdentity;
  /** What callers of the App Service endpoint must know. */
  readonly appServiceSecret: string;
  route(request: WireRequest): Routed;
}

export function createMetadataService(entra: Entra): MetadataService {
  const identities: (ManagedIdentity & { systemAssigned: boolean })[] = [];
  const appServiceSecret = randomUUID();

  function imds(request: WireRequest): WireAnswer {
    // The guard against requests that were relayed from outside of the machine.
    if (request.headers["metadata"] !== "true" || request.headers["x-forwarded-for"] !== undefined) {
      return invalidRequest("Required metadata header not specified");
    }
    if (request.method !== "GET") return { status: 405, headers: {}, body: "" };
    if (request.query.get("api-version") !== "2018-02-01") return invalidRequest("Invalid api-version");
    const known = ["api-version", "resource", "client_id", "object_id", "msi_res_id", "mi_res_id"];
    if ([...request.query.keys()].some((name) => !known.includes(name))) return invalidRequest("Unknown parameter");
    const identity = find(request.query);
    if (identity === undefined) return invalidRequest("Identity not found");
    return grant(identity, request, "expires_in");
  }

  function appService(request: WireRequest): WireAnswer {
    if (request.headers["x-identity-header"] !== appServiceSecret) {
      return jsonAnswer(401, { statusCode: 401, message: "Missing or invalid X-IDENTITY-HEADER." });
    }
    if (request.query.get("api-version") !== "2019-08-01")
      return jsonAnswer(400, { statusCode: 400, message: "Bad api-version." });
    const identity = find(request.query);
    if (identity === undefined)
      return jsonAnswer(400, {
        statusCode: 400,
        message: "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
      });
    return grant(identity, request, "expires_on only");
  }

  function find(query: URLSearchParams): ManagedIdentity | undefined {
    const clientId = query.get("client_id");
    const resourceId = query.get("msi_res_id") ?? query.get("mi_res_id");
    if (clientId !== null) return identities.find((identity) => identity.clientId === clientId);
    if (resourceId !== null) return identities.find((identity) => identity.resourceId === resourceId);
    return (
      identities.find((identity) => identity.systemAssigned) ?? (identities.length === 1 ? identities[0] : undefined)
    );
  }

  function grant(identity: ManagedIdentity, request: WireRequest, form: "expires_in" | "expires_on only"): WireAnswer {
    const resource = (request.query.get("resource") ?? "").replace(/\/$/, "");
    if (!resource.startsWith("https://")) return invalidRequest("AADSTS500011: The resource principal was not found.");
    const token = entra.issue(identity, resource);
    return jsonAnswer(200, {
      access_token: token.accessToken,
      client_id: identity.clientId,
      ...(form === "expires_in" ? { expires_in: String(token.expiresInSeconds) } : {}),
      expires_on: String(token.expiresOn),
      resource,
      token_type: "Bearer",
    });
  }

  return {
    appServiceSecret,
    assign({ systemAssigned = false, ...given }) {
      const identity = {
        tenantId: randomUUID(),
        clientId: randomUUID(),
        objectId: randomUUID(),
        resourceId: `/subscriptions/${randomUUID()}/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`,
        ...given,
        systemAssigned,
      };
      identities.push(identity);
      return identity;
    },
    route(request) {
      switch (request.path.replace(/\/$/, "")) {
        case "/metadata/identity/oauth2/token":
          return { place: "identity", answer: () => imds(request) };
        case "/msi/token":
          return { place: "identity", answer: () => appService(request) };
        default:
          return { place: undefined, answer: () => ({ status: 404, headers: {}, body: "" }) };
      }
    },
  };
}

function invalidRequest(description: string): WireAnswer {
  return jsonAnswer(400, { error: "invalid_request", error_description: description });
}
