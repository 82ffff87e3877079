import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  openEnvelope,
  readPublicKey,
  readSigningKey,
  reportPayloadType,
  sealPayload,
} from "../../../rotation/report/envelope";

function pemPair(curve: "ed25519" | "P-256" | "P-384" | "P-521") {
  const pair = curve === "ed25519" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: curve });
  return {
    publicKey: pair.publicKey.export({ type: "spki", format: "pem" }).toString(),
    privateKey: pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

const payload = '{"complete":true,"umlaut":"ä"}';

describe("a report's envelope", () => {
  for (const curve of ["ed25519", "P-256", "P-384", "P-521"] as const) {
    it(`signed with ${curve} => the public key opens it, another key and any change do not`, () => {
      const pair = pemPair(curve);
      const envelope = sealPayload(payload, readSigningKey(pair.privateKey, "private.pem"));
      const key = readPublicKey(pair.publicKey, "public.pem");
      assert.equal(envelope.signatures[0]?.keyid, key.keyId);
      assert.equal(envelope.unsigned, undefined);
      assert.deepEqual(openEnvelope(JSON.stringify(envelope), key, "r.json"), { payload, problem: undefined });

      const changed = { ...envelope, payload: Buffer.from(payload.replace("true", "1")).toString("base64") };
      assert.match(openEnvelope(JSON.stringify(changed), key, "r.json").problem ?? "", /does not fit its content/);
      const other = readPublicKey(pemPair(curve).publicKey, "other.pem");
      assert.match(openEnvelope(JSON.stringify(envelope), other, "r.json").problem ?? "", /with another key: sha256:/);
    });
  }

  it("DSSE's protocol: the signature is over the type, the payload and their lengths in bytes", () => {
    const pair = pemPair("ed25519");
    const { signatures } = sealPayload(payload, readSigningKey(pair.privateKey, "private.pem"));
    const signed = `DSSEv1 ${reportPayloadType.length} ${reportPayloadType} 31 ${payload}`;
    const sig = Buffer.from(signatures[0]?.sig ?? "", "base64");
    assert.equal(verify(null, Buffer.from(signed), createPublicKey(pair.publicKey), sig), true);
  });

  it("a second opinion: openssl accepts the signature, over bytes that were put together by hand", function () {
    if (spawnSync("openssl", ["version"]).error !== undefined) this.skip();
    const directory = mkdtempSync(join(tmpdir(), "envelope-"));
    try {
      const pair = pemPair("P-256");
      const { signatures } = sealPayload(payload, readSigningKey(pair.privateKey, "private.pem"));
      const file = (name: string, content: string | Buffer) => {
        writeFileSync(join(directory, name), content);
        return join(directory, name);
      };
      const data = file("data", `DSSEv1 ${reportPayloadType.length} ${reportPayloadType} 31 ${payload}`);
      const sig = file("sig", Buffer.from(signatures[0]?.sig ?? "", "base64"));
      const args = ["dgst", "-sha256", "-verify", file("public.pem", pair.publicKey), "-signature", sig, data];
      assert.match(execFileSync("openssl", args, { encoding: "utf8" }), /Verified OK/);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("a key id that was copied from elsewhere proves nothing, and a wrong one is no obstacle", () => {
    const pair = pemPair("ed25519");
    const key = readPublicKey(pair.publicKey, "public.pem");
    const forged = sealPayload(payload, readSigningKey(pemPair("ed25519").privateKey, "private.pem"));
    const sig = forged.signatures[0]?.sig;
    const pretending = JSON.stringify({ ...forged, signatures: [{ keyid: key.keyId, sig }] });
    assert.match(openEnvelope(pretending, key, "r.json").problem ?? "", /does not fit its content/);
    const good = sealPayload(payload, readSigningKey(pair.privateKey, "private.pem"));
    const renamed = JSON.stringify({ ...good, signatures: [{ sig: good.signatures[0]?.sig }] });
    assert.equal(openEnvelope(renamed, key, "r.json").problem, undefined);
  });

  it("no key => marked as unsigned, and not believed", () => {
    const envelope = sealPayload(payload, undefined);
    assert.deepEqual([envelope.unsigned, envelope.signatures], [true, []]);
    const opened = openEnvelope(JSON.stringify(envelope), readPublicKey(pemPair("ed25519").publicKey, "p"), "r.json");
    assert.deepEqual(opened, { payload, problem: "it is not signed" });
  });

  it("what is no report => an error that names the file and says why", () => {
    const key = readPublicKey(pemPair("ed25519").publicKey, "public.pem");
    const cases: readonly (readonly [string, RegExp])[] = [
      ["", /r\.json is no report: it is not JSON/],
      ["null", /no JSON object/],
      ["{}", /no DSSE envelope/],
      [
        '{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        /its payload is application\/vnd.in-toto/,
      ],
      [`{"payload":"","payloadType":"${reportPayloadType}","signatures":[{}]}`, /lacks its sig/],
    ];
    for (const [text, reason] of cases) assert.throws(() => openEnvelope(text, key, "r.json"), reason);
  });

  it("keys that cannot be used => errors that say what to give instead, and nothing of the key", () => {
    const rsa = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    assert.throws(() => readSigningKey(rsa.privateKey, "k.pem"), /k\.pem is a key of type rsa/);
    assert.throws(
      () => readSigningKey("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", "k.pem"),
      (thrown) => {
        assert.match(String(thrown), /k\.pem is no private key in PEM form/);
        assert.doesNotMatch(String(thrown), /c2VjcmV0/);
        return true;
      },
    );
    assert.throws(() => readPublicKey(pemPair("ed25519").privateKey, "k.pem"), /k\.pem is a private key/);
    assert.throws(() => readPublicKey("nothing", "k.pem"), /k\.pem is no public key/);
    const encrypted = generateKeyPairSync("ed25519", {
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "p" },
    });
    assert.throws(() => readSigningKey(encrypted.privateKey, "k.pem"), /protected by a passphrase/);
  });
});
