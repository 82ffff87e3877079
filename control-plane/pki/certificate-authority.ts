/**
 * Certificates for the servers and clients of one control plane. By @peculiar/x509: typed, maintained, and on top of
 * Node's own WebCrypto, so keys come from OpenSSL and no cryptography is done in JavaScript.
 */
import "reflect-metadata";
import { KeyObject, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** A certificate and its private key, both PEM. */
export interface CertificatePair {
  readonly certificate: string;
  readonly privateKey: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** Kubernetes reads them as the user's groups. */
  readonly organization?: string;
  /** For servers; clients have none. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

export interface CertificateAuthority {
  /** PEM. */
  readonly certificate: string;
  issue(request: CertificateRequest): Promise<CertificatePair>;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A control plane on this machine is thrown away long before, and nothing renews its certificates. */
const validYears = 10;
/** A clock that was set back a little must not make a new certificate invalid. */
const backdatedMilliseconds = 3_600_000;

/** A new authority. Its private key stays in memory and is gone after: certificates are issued once, at the first start. */
export async function createCertificateAuthority(commonName: string): Promise<CertificateAuthority> {
  const keys = await newKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    ...validity(),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificate: pemText(authority.toString("pem")),
    issue: (request) => issue(authority, keys.privateKey, request),
  };
}

/** A PEM key pair, for service account tokens. */
export async function createKeyPair(): Promise<{ readonly publicKey: string; readonly privateKey: string }> {
  const keys = await newKeys();
  return {
    publicKey: x509.PemConverter.encode(await webcrypto.subtle.exportKey("spki", keys.publicKey), "PUBLIC KEY"),
    privateKey: await privateKeyPem(keys),
  };
}

async function issue(
  authority: x509.X509Certificate,
  signingKey: webcrypto.CryptoKey,
  request: CertificateRequest,
): Promise<CertificatePair> {
  const keys = await newKeys();
  const names: x509.JsonGeneralNames = [
    ...(request.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: authority.subjectName,
    subject: [
      ...(request.organization === undefined ? [] : [{ O: [request.organization] }]),
      { CN: [request.commonName] },
    ],
    ...validity(),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      // etcd's gateway and its peers use a server's certificate as a client's too.
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
      await x509.AuthorityKeyIdentifierExtension.create(authority),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ],
  });
  return { certificate: pemText(certificate.toString("pem")), privateKey: await privateKeyPem(keys) };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const key = KeyObject.from(keys.privateKey);
  // SEC 1 form: what kube-apiserver 1.31 and 1.36 and etcd all read.
  return key.export({ format: "pem", type: "sec1" }).toString();
}

function serialNumber(): string {
  // RFC 5280: positive, so the first bit is 0, and not all zero.
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01;
  return bytes.toString("hex");
}

function validity(): { notBefore: Date; notAfter: Date } {
  const notBefore = new Date(Date.now() - backdatedMilliseconds);
  const notAfter = new Date(notBefore);
  notAfter.setFullYear(notAfter.getFullYear() + validYears);
  return { notBefore, notAfter };
}

function pemText(pem: string): string {
  return pem.endsWith("\n") ? pem : `${pem}\n`;
}
