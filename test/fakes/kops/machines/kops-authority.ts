/**
 * kOps' own keysets as a machine uses them: nodeup takes the keypair that its configuration names from the store, by number, and issues the
 * machine's certificates with it (kops nodeup/pkg/model/context.go, nodeup/nodetasks/issue_cert.go). Shares no code with the engine.
 */
import "reflect-metadata";
import { createPrivateKey, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { parse } from "yaml";
import type { MotoCloud } from "../moto-cloud";

/** Both PEM. */
interface IssuedPair {
  readonly cert: string;
  readonly key: string;
}

interface Subject {
  readonly commonName: string;
  readonly organization?: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** Throws as nodeup does where the store has no such keypair. */
export interface KopsAuthority {
  /** The private key of a keypair, PEM. */
  privateKey(keyset: string, id: string | undefined): Promise<string>;
  /** A certificate by this keypair of kubernetes-ca. */
  issue(id: string | undefined, subject: Subject): Promise<IssuedPair>;
}

export const kubernetesCa = "kubernetes-ca";

interface Keyset {
  readonly spec: {
    readonly keys: readonly {
      readonly id: string;
      readonly publicMaterial: string;
      readonly privateMaterial?: string;
    }[];
  };
}

const day = 86_400_000;

export function kopsAuthority(cloud: Pick<MotoCloud, "object">, cluster: string): KopsAuthority {
  async function keypair(keyset: string, id: string | undefined) {
    const text = await cloud.object(`${cluster}/pki/private/${keyset}/keyset.yaml`);
    if (text === undefined) throw new Error(`nodeup: keyset "${keyset}" not found`);
    const found = (parse(text) as Keyset).spec.keys.find((each) => each.id === id);
    if (found?.privateMaterial === undefined) throw new Error(`nodeup: did not find keypair ${id} for ${keyset}`);
    const decode = (material: string) => Buffer.from(material, "base64").toString("utf8");
    return { certificate: decode(found.publicMaterial), privateKey: decode(found.privateMaterial) };
  }

  return {
    privateKey: async (keyset, id) => (await keypair(keyset, id)).privateKey,
    async issue(id, { commonName, organization, dnsNames = [], ipAddresses = [] }) {
      const ca = await keypair(kubernetesCa, id);
      const issuer = new x509.X509Certificate(ca.certificate);
      const identifier = issuer.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
      const signingAlgorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
      const der = createPrivateKey(ca.privateKey).export({ format: "der", type: "pkcs8" });
      const signingKey = await webcrypto.subtle.importKey("pkcs8", der, signingAlgorithm, false, ["sign"]);
      const keys = await webcrypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
      const names: x509.JsonGeneralNames = [
        ...dnsNames.map((value) => ({ type: "dns" as const, value })),
        ...ipAddresses.map((value) => ({ type: "ip" as const, value })),
      ];
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: `01${randomBytes(15).toString("hex")}`,
        issuer: issuer.subjectName,
        subject: [...(organization === undefined ? [] : [{ O: [organization] }]), { CN: [commonName] }],
        // kOps' own are valid from two days back.
        notBefore: new Date(Date.now() - day),
        notAfter: new Date(Date.now() + day),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm,
        extensions: [
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            names.length === 0 ? x509.ExtendedKeyUsage.clientAuth : x509.ExtendedKeyUsage.serverAuth,
          ]),
          // The CA's own: there are two ways to derive it from the key, and OpenSSL takes another one for another CA.
          ...(identifier === undefined ? [] : [new x509.AuthorityKeyIdentifierExtension(identifier)]),
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
        ],
      });
      const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
      return { cert: certificate.toString("pem"), key: x509.PemConverter.encode(key, "PRIVATE KEY") };
    },
  };
}
