import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readClientCertificate } from "../../../../plugin-server/providers/azure-key-vault/client-certificate";

const forms = JSON.parse(readFileSync(join(__dirname, "client-certificate-forms.json"), "utf8")) as Readonly<
  Record<
    "password" | "certificate" | "pem" | "encryptedPem" | "pkcs12" | "legacyPkcs12" | "pkcs12WithoutPassword",
    string
  >
>;

describe("a service principal's certificate", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "client-certificate-"));
  });
  after(() => rm(directory, { recursive: true }));

  async function read(content: string | Buffer, password?: string) {
    const file = join(directory, "principal");
    await writeFile(file, content, { mode: 0o600 });
    return readClientCertificate(file, password);
  }

  for (const [name, content, password] of [
    ["PKCS #12 with AES, with a chain", Buffer.from(forms.pkcs12, "base64"), forms.password],
    ["PKCS #12 with RC2 and Triple DES", Buffer.from(forms.legacyPkcs12, "base64"), forms.password],
    ["PKCS #12 without a password", Buffer.from(forms.pkcs12WithoutPassword, "base64"), undefined],
    ["PEM", forms.pem, undefined],
    ["PEM, with a password that is not needed", forms.pem, "unused"],
    ["PEM with an encrypted key", forms.encryptedPem, forms.password],
  ] as const) {
    it(`is the same from ${name}`, async () => {
      const { pem, password: needed } = await read(content, password);
      const certificate = new X509Certificate(pem);
      assert.equal(certificate.fingerprint256, new X509Certificate(forms.certificate).fingerprint256);
      const key = createPrivateKey({ key: pem, ...(needed === undefined ? {} : { passphrase: needed }) });
      assert.ok(certificate.checkPrivateKey(key));
    });
  }

  it("is refused by field, without a word of its content", async () => {
    const pkcs12 = Buffer.from(forms.pkcs12, "base64");
    await assert.rejects(read(pkcs12, "wrong"), {
      code: "invalid-input",
      message: /aadClientCertPassword does not open/,
    });
    await assert.rejects(read(Buffer.from([1, 2, 3])), {
      message: /aadClientCertPath names a file that is neither PKCS #12 nor PEM/,
    });
    await assert.rejects(read(forms.certificate), { message: /without a certificate or without a private key/ });
    await assert.rejects(readClientCertificate(join(directory, "none"), undefined), {
      code: "not-found",
      message: /aadClientCertPath names a file that cannot be read/,
    });
  });
});
