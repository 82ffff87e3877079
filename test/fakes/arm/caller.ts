/** Who calls ARM: the token in the Authorization header, checked against the Entra fake. */

import type { Entra } from "../azure/entra";
import { verifyToken } from "../azure/signed-token";
import { ArmError } from "./arm-error";

export interface Caller {
  readonly objectId: string;
  readonly clientId: string;
  readonly tenantId: string;
}

/** ARM takes both spellings, and nothing that was issued for another service. */
const audiences = ["https://management.azure.com", "https://management.core.windows.net"];

export function authenticate(authorization: string | undefined, entra: Entra, now: () => number): Caller {
  if (authorization === undefined) {
    throw unauthorized("AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.");
  }
  const token = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? "";
  const verified = verifyToken(token, entra.publicKey);
  if (verified === undefined) throw unauthorized("InvalidAuthenticationToken", "The access token is invalid.");
  const { aud, exp, nbf, oid, appid, tid } = verified.claims;
  if (!audiences.includes(String(aud).replace(/\/$/, ""))) {
    throw unauthorized(
      "InvalidAuthenticationTokenAudience",
      `The access token has been obtained for wrong audience or resource '${String(aud)}'. It should exactly match with one of the allowed audiences '${audiences.join("','")}'.`,
    );
  }
  const seconds = now() / 1_000;
  if (Number(exp) <= seconds) {
    throw unauthorized(
      "ExpiredAuthenticationToken",
      "The access token expiry UTC time is earlier than current UTC time.",
    );
  }
  // As everywhere in Azure, five minutes between the clocks are allowed.
  if (Number(nbf) > seconds + 300)
    throw unauthorized("InvalidAuthenticationToken", "The access token is not yet valid.");
  return { objectId: String(oid), clientId: String(appid), tenantId: String(tid) };
}

function unauthorized(code: string, message: string): ArmError {
  return new ArmError(401, code, message, {
    "www-authenticate": `Bearer authorization_uri="https://login.microsoftonline.com/", error="invalid_token", error_description="${message}"`,
  });
}
