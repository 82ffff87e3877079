import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { createCertificateAuthority, createKeyPair } from "../../../control-plane/pki/certificate-authority";

describe("the certificate authority of a control plane", () => {
  it("issues certificates that verify against it, with names, groups and keys that belong to them", async () => {
    const authority = await createCertificateAuthority("test authority");
    const ca = new X509Certificate(authority.certificate);
    assert.equal(ca.ca, true);
    assert.ok(ca.verify(ca.publicKey));

    const pair = await authority.issue({
      commonName: "kube-apiserver",
      organization: "system:masters",
      dnsNames: ["localhost", "cp1"],
      ipAddresses: ["127.0.0.1"],
    });
    const issued = new X509Certificate(pair.certificate);
    assert.ok(issued.checkIssued(ca));
    assert.ok(issued.verify(ca.publicKey));
    assert.equal(issued.ca, false);
    assert.ok(issued.checkPrivateKey(createPrivateKey(pair.privateKey)));
    assert.equal(issued.checkIP("127.0.0.1"), "127.0.0.1");
    assert.equal(issued.checkHost("cp1"), "cp1");
    assert.equal(issued.checkHost("cp2"), undefined);
    assert.match(issued.subject, /O=system:masters/);
    assert.match(issued.subject, /CN=kube-apiserver/);
    const days = (Date.parse(issued.validTo) - Date.now()) / 86_400_000;
    assert.ok(days > 3_600 && Date.parse(issued.validFrom) < Date.now());
  });

  it("another authority of the same name does not vouch for them", async () => {
    const [one, other] = [await createCertificateAuthority("ca"), await createCertificateAuthority("ca")];
    const issued = new X509Certificate((await one.issue({ commonName: "x" })).certificate);
    assert.equal(issued.verify(new X509Certificate(other.certificate).publicKey), false);
  });

  it("serial numbers are positive and differ", async () => {
    const authority = await createCertificateAuthority("ca");
    const issued = await Promise.all(Array.from({ length: 16 }, () => authority.issue({ commonName: "x" })));
    const serials = issued.map(({ certificate }) => new X509Certificate(certificate).serialNumber);
    assert.equal(new Set(serials).size, serials.length);
    for (const serial of serials) assert.match(serial.padStart(32, "0"), /^[0-7][0-9A-F]{31}$/);
  });

  it("key pairs for tokens are PEM and fit each other", async () => {
    const { publicKey, privateKey } = await createKeyPair();
    assert.match(publicKey, /BEGIN PUBLIC KEY/);
    assert.equal(createPrivateKey(privateKey).asymmetricKeyType, "ec");
  });
});
