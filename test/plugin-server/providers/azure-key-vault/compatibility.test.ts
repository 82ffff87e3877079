import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { useServe } from "../../support/served";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";
import { forkAnnotations, forkEncrypt, peerDecrypt, type WrittenKey, writtenKeys } from "./kubernetes-kms-values";

describe("compatibility with Azure/kubernetes-kms", function () {
  this.timeout(20_000);
  let host: AzureHost;
  before(async () => {
    host = await startAzureHost();
    for (const key of writtenKeys) host.vault.keys.add({ ...namesOf(key), privateKeyPem: key.privateKeyPem });
  });
  after(() => host.close());
  const serve = useServe();

  function providerFor(key: WrittenKey): Promise<KeyProvider> {
    const { name, version } = namesOf(key);
    return host.open({ keyName: name, keyVersion: version });
  }

  for (const key of writtenKeys) {
    describe(`with RSA-${key.modulusLength}`, () => {
      it("has the same key_id", async () => {
        const provider = await providerFor(key);
        assert.equal(provider.keyId, key.keyId);
        await provider.probe(AbortSignal.timeout(2_900));
        assert.equal(provider.keyId, key.keyId);
      });

      it("reads what the peer wrote over v1", async () => {
        const provider = await providerFor(key);
        assert.ok(key.v1.length > 0);
        for (const { plaintext, ciphertextText } of key.v1) {
          const input = { ciphertext: Buffer.from(ciphertextText), keyId: "", annotations: {} };
          assert.equal(base64(await provider.decrypt(input, callContext("v1"))), plaintext);
        }
      });

      it("reads what the peer wrote over v2", async () => {
        const provider = await providerFor(key);
        assert.ok(key.v2.length > 0);
        for (const { plaintext, ciphertextText, keyId, annotations } of key.v2) {
          const input = { ciphertext: Buffer.from(ciphertextText), keyId, annotations: bytes(annotations) };
          assert.equal(base64(await provider.decrypt(input, callContext("v2"))), plaintext);
        }
      });

      it("reads what the peer wrote, over the socket", async () => {
        const {
          clients: [client],
        } = await serve([await providerFor(key)], { kind: "azure" });
        assert.ok(client);
        for (const { plaintext, ciphertextText } of key.v1) {
          const { plain } = await client.v1.Decrypt({ version: "v1beta1", cipher: Buffer.from(ciphertextText) });
          assert.equal(base64(plain), plaintext);
        }
        for (const { plaintext, ciphertextText, keyId, annotations } of key.v2) {
          const request = { ciphertext: Buffer.from(ciphertextText), keyId, annotations: bytes(annotations), uid: "u" };
          assert.equal(base64((await client.v2.Decrypt(request)).plaintext), plaintext);
          const without = { ...request, annotations: {} };
          await assert.rejects(client.v2.Decrypt(without), { code: status.INVALID_ARGUMENT });
        }
      });

      for (const kms of ["v1", "v2"] as const) {
        it(`writes over ${kms} what the peer reads`, async () => {
          const plaintext = randomBytes(32);
          const { ciphertext } = await (await providerFor(key)).encrypt(plaintext, callContext(kms));
          assert.match(Buffer.from(ciphertext).toString("latin1"), /^[A-Za-z0-9_-]+$/);
          assert.equal(ciphertext.length, Math.ceil((key.modulusLength / 8) * (4 / 3)));
          assert.deepEqual(peerDecrypt(kms, ciphertext, key.privateKeyPem), plaintext);
        });

        it(`reads what OpenShift's fork wrote over ${kms}`, async () => {
          const plaintext = randomBytes(32);
          const input = {
            ciphertext: forkEncrypt(kms, plaintext, key.privateKeyPem),
            keyId: kms === "v2" ? key.keyId : "",
            annotations: kms === "v2" ? forkAnnotations : {},
          };
          assert.deepEqual(Buffer.from(await (await providerFor(key)).decrypt(input, callContext(kms))), plaintext);
        });
      }
    });
  }

  it("makes 683 characters with RSA-4096, as the peer does", async () => {
    const key = host.vault.keys.add({ name: "large", modulusLength: 4096 });
    const provider = await host.open({ keyName: key.name, keyVersion: key.version });
    const plaintext = randomBytes(32);
    const encrypted = await provider.encrypt(plaintext, callContext());
    assert.equal(encrypted.ciphertext.length, 683);
    assert.deepEqual(Buffer.from(await provider.decrypt(encrypted, callContext())), plaintext);
  });

  it("tells 512 bytes of text by a small key from 512 bytes by a large one", async () => {
    const pem = host.vault.keys.find("large", "")?.privateKey.export({ type: "pkcs8", format: "pem" }).toString() ?? "";
    const large = await host.open({ keyName: "large", keyVersion: host.vault.keys.find("large", "")?.version ?? "" });
    const ciphertext = forkEncrypt("v2", Buffer.from("by the fork"), pem);
    assert.equal(ciphertext.length, 512);
    const read = await large.decrypt({ ciphertext, keyId: large.keyId, annotations: forkAnnotations }, callContext());
    assert.equal(Buffer.from(read).toString(), "by the fork");
    const small = writtenKeys.find((key) => key.modulusLength === 3072)?.v2[0];
    assert.equal(small?.ciphertextText.length, 512);
  });

  it("writes the peer's five annotations, with what the answer says", async () => {
    const { annotations } = await (await host.open()).encrypt(randomBytes(32), callContext("v2"));
    const texts = Object.fromEntries(
      Object.entries(annotations).map(([name, value]) => [name, Buffer.from(value).toString()]),
    );
    assert.deepEqual(Object.keys(texts).sort(), [
      "algorithm.azure.akv.io",
      "date.azure.akv.io",
      "version.azure.akv.io",
      "x-ms-keyvault-region.azure.akv.io",
      "x-ms-request-id.azure.akv.io",
    ]);
    assert.equal(texts["algorithm.azure.akv.io"], "RSA-OAEP-256");
    assert.equal(texts["version.azure.akv.io"], "1");
    assert.equal(texts["x-ms-keyvault-region.azure.akv.io"], "westeurope");
    assert.match(texts["x-ms-request-id.azure.akv.io"] ?? "", /^[0-9a-f-]{36}$/);
    assert.match(texts["date.azure.akv.io"] ?? "", /^\w{3}, \d{2} \w{3} \d{4} [\d:]{8} GMT$/);
  });

  it("writes empty annotations where a proxy has taken the headers away, and reads them", async () => {
    const provider = await host.open();
    host.azure.faults.order("encrypt", {
      kind: "change",
      change: (answer) => ({
        ...answer,
        headers: { "content-type": "application/json", "x-ms-request-id": "", "x-ms-keyvault-region": "" },
      }),
    });
    const encrypted = await provider.encrypt(Buffer.from("a key"), callContext("v2"));
    assert.equal(encrypted.annotations["x-ms-request-id.azure.akv.io"]?.length, 0);
    assert.equal(encrypted.annotations["x-ms-keyvault-region.azure.akv.io"]?.length, 0);
    assert.equal(Buffer.from(await provider.decrypt(encrypted, callContext("v2"))).toString(), "a key");
  });

  it("needs no permission beside encrypt and decrypt, as the peer needs none", async () => {
    const provider = await host.open();
    await provider.decrypt(await provider.encrypt(Buffer.from("a key"), callContext()), callContext());
    const asked = host.azure.requests.filter((request) => request.host === host.vault.host && request.method === "GET");
    assert.deepEqual(asked, []);
  });

  it("refuses annotations and key ids that are not this key's, before it asks the vault", async () => {
    const provider = await host.open();
    const encrypted = await provider.encrypt(Buffer.from("a key"), callContext());
    const wrong: Readonly<Record<string, Uint8Array>>[] = [
      {},
      { ...encrypted.annotations, "version.azure.akv.io": Buffer.from("2") },
      { ...encrypted.annotations, "algorithm.azure.akv.io": Buffer.from("RSA1_5") },
    ];
    const before = host.azure.requests.length;
    for (const annotations of wrong) {
      await assert.rejects(provider.decrypt({ ...encrypted, annotations }, callContext()), { code: "invalid-input" });
    }
    await assert.rejects(provider.decrypt({ ...encrypted, keyId: "0".repeat(64) }, callContext()), {
      code: "invalid-input",
    });
    assert.equal(host.azure.requests.length, before);
  });
});

function namesOf(key: WrittenKey): { name: string; version: string } {
  const [name = "", version = ""] = key.kid.split("/").slice(-2);
  return { name, version };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function bytes(texts: Readonly<Record<string, string>>): Record<string, Uint8Array> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, Buffer.from(text)]));
}
