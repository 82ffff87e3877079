/** JSON Web Tokens with RS256 and PS256: what Entra issues, and what workload identity and client certificates present to it. */
import { constants, type KeyObject, sign, verify } from "node:crypto";

export type Claims = Readonly<Record<string, unknown>>;

export function signToken(claims: Claims, key: KeyObject, header: Readonly<Record<string, unknown>> = {}): string {
  const signed = `${encode({ alg: "RS256", typ: "JWT", ...header })}.${encode(claims)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

/** Header and claims; undefined when the signature is not by `key`. Times are for the caller to check. */
export function verifyToken(token: string, key: KeyObject): { header: Claims; claims: Claims } | undefined {
  const [header, claims, signature] = token.split(".");
  if (header === undefined || claims === undefined || signature === undefined) return undefined;
  try {
    const parsedHeader = decode(header);
    const algorithm = parsedHeader["alg"];
    if (algorithm !== "RS256" && algorithm !== "PS256") return undefined;
    const publicKey = {
      key,
      ...(algorithm === "PS256" ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {}),
    };
    const valid = verify("sha256", Buffer.from(`${header}.${claims}`), publicKey, Buffer.from(signature, "base64url"));
    return valid ? { header: parsedHeader, claims: decode(claims) } : undefined;
  } catch {
    return undefined;
  }
}

function encode(part: Readonly<Record<string, unknown>>): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function decode(part: string): Claims {
  return JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as Claims;
}
