/**
 * A service principal's certificate and private key as PEM, the one form that @azure/identity takes. The peer knows PKCS #12
 * with RSA keys only; PEM is accepted as well.
 */
import { readFile } from "node:fs/promises";
import type * as forge from "node-forge";
import { KmsEtcdError } from "../../../core/errors";
import { loadLibraries } from "./load-libraries";

export interface ClientCertificate {
  /** Certificate and private key. */
  readonly pem: string;
  /** For a private key that is still encrypted. */
  readonly password: string | undefined;
}

/** Throws `not-found` or `invalid-input`, naming fields of azure.json. */
export async function readClientCertificate(file: string, password: string | undefined): Promise<ClientCertificate> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (cause) {
    throw new KmsEtcdError("not-found", `azure.json: aadClientCertPath names a file that cannot be read: ${file}`, {
      remedy: "put the certificate there, and mount it into the plugin's pod",
      cause,
    });
  }
  if (!content.includes("-----BEGIN ")) return { pem: fromPkcs12(content, file, password ?? ""), password: undefined };
  const pem = content.toString("utf8");
  if (!pem.includes("-----BEGIN CERTIFICATE-----") || !/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw invalid("aadClientCertPath", `names a PEM file without a certificate or without a private key: ${file}`);
  }
  return {
    pem,
    password: /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem) ? password : undefined,
  };
}

function fromPkcs12(content: Buffer, file: string, password: string): string {
  // Node reads PKCS #12 for its own TLS only, and not the ciphers of older files.
  const { asn1, pkcs12, pki } = loadLibraries();
  let structure: forge.asn1.Asn1;
  try {
    structure = asn1.fromDer(content.toString("binary"));
  } catch {
    throw invalid("aadClientCertPath", `names a file that is neither PKCS #12 nor PEM: ${file}`);
  }
  let store: forge.pkcs12.Pkcs12Pfx;
  try {
    store = pkcs12.pkcs12FromAsn1(structure, password);
  } catch {
    throw invalid("aadClientCertPassword", `does not open ${file}`);
  }
  const key = bagsOf(store, pki.oids["pkcs8ShroudedKeyBag"])
    .concat(bagsOf(store, pki.oids["keyBag"]))
    .find((bag) => bag.key)?.key;
  if (key === undefined) throw invalid("aadClientCertPath", `names a file without an RSA private key: ${file}`);
  // A file may hold the whole chain: the certificate of this key is the one to log in with.
  const certificate = bagsOf(store, pki.oids["certBag"])
    .flatMap((bag) => (bag.cert ? [bag.cert] : []))
    .find((candidate) => key.n.equals((candidate.publicKey as forge.pki.rsa.PublicKey).n));
  if (certificate === undefined) {
    throw invalid("aadClientCertPath", `names a file without a certificate for its private key: ${file}`);
  }
  return pki.certificateToPem(certificate) + pki.privateKeyInfoToPem(pki.wrapRsaPrivateKey(pki.privateKeyToAsn1(key)));
}

function bagsOf(store: forge.pkcs12.Pkcs12Pfx, oid: string | undefined): readonly forge.pkcs12.Bag[] {
  return oid === undefined ? [] : (store.getBags({ bagType: oid })[oid] ?? []);
}

function invalid(field: string, problem: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `azure.json: ${field} ${problem}`, {
    remedy: "give the service principal's certificate with its RSA private key, and the password of that file",
  });
}
