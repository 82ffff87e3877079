import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../../core/errors";
import { formatLocalKeyFile, localKeyId } from "../../../../core/local-key-file";
import { createLocalKeyProvider } from "../../../../plugin-server/providers/local-key";
import { asInput, call, keyProviderContract } from "../../contract/key-provider.contract";

const key = randomBytes(32);
let directory: string;
let file: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "kms-etcd-local-key-"));
  file = join(directory, "key");
  await writeFile(file, formatLocalKeyFile(key), { mode: 0o600 });
});
after(() => rm(directory, { recursive: true }));

keyProviderContract("a local key", {
  create: () => createLocalKeyProvider({ keyFile: file }),
  createOther: async () => {
    const keyFile = join(directory, "other");
    await writeFile(keyFile, formatLocalKeyFile(Buffer.alloc(32, 7)), { mode: 0o600 });
    return createLocalKeyProvider({ keyFile });
  },
  checksKeyId: true,
  plaintextSizes: [1, 16, 900],
  disable: async () => {
    await rename(file, `${file}.away`);
    return () => rename(`${file}.away`, file);
  },
});

describe("a local key provider", () => {
  async function openError(keyFile: string): Promise<KmsEtcdError> {
    const error = await createLocalKeyProvider({ keyFile })
      .open(AbortSignal.timeout(1_000))
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    assert.ok(error instanceof KmsEtcdError, String(error));
    return error;
  }

  it("reports the key_id of its file", async () => {
    const provider = createLocalKeyProvider({ keyFile: file });
    await provider.open(AbortSignal.timeout(1_000));
    assert.equal(provider.keyId, localKeyId(key));
  });

  it("decrypts what an earlier release encrypted", async () => {
    const keyFile = join(directory, "golden");
    await writeFile(keyFile, formatLocalKeyFile(Buffer.from("000102030405060708090a0b0c0d0e0f".repeat(2), "hex")), {
      mode: 0o600,
    });
    const provider = createLocalKeyProvider({ keyFile });
    await provider.open(AbortSignal.timeout(1_000));
    assert.equal(provider.keyId, goldenKeyId);
    const decrypted = await provider.decrypt(
      { ciphertext: Buffer.from(goldenCiphertext, "hex"), keyId: "", annotations: {} },
      call("v1"),
    );
    assert.equal(Buffer.from(decrypted).toString(), "seed");
  });

  it("refuses a file that others can read, with the command that mends it", async () => {
    const keyFile = join(directory, "open");
    await writeFile(keyFile, formatLocalKeyFile(key), { mode: 0o600 });
    for (const mode of [0o640, 0o604, 0o660, 0o700]) {
      await chmod(keyFile, mode);
      const error = await openError(keyFile);
      assert.equal(error.code, "permission-denied");
      assert.match(error.message, new RegExp(`has mode 0${mode.toString(8)}`));
      assert.equal(error.remedy, `chmod 0600 ${keyFile}`);
    }
    await chmod(keyFile, 0o400);
    await createLocalKeyProvider({ keyFile }).open(AbortSignal.timeout(1_000));
  });

  it("refuses a file that belongs to another user", async function () {
    if (process.geteuid?.() !== 0) this.skip();
    const keyFile = join(directory, "foreign");
    await writeFile(keyFile, formatLocalKeyFile(key), { mode: 0o600 });
    await chown(keyFile, 12_345, 12_345);
    const error = await openError(keyFile);
    assert.match(error.message, /belongs to user 12345, this process is user 0$/);
    assert.equal(error.remedy, `chown 0 ${keyFile}`);
  });

  it("refuses what is not there, is no file, or is no key", async () => {
    const link = join(directory, "link");
    await symlink("/dev/null", link);
    await writeFile(join(directory, "text"), "hello", { mode: 0o600 });
    assert.equal((await openError(join(directory, "absent"))).code, "not-found");
    assert.match((await openError(directory)).message, /is not a regular file$/);
    assert.match((await openError(link)).message, /is not a regular file$/);
    assert.match((await openError(join(directory, "text"))).message, /is no local key file/);
  });

  it("fails its probe when the file has come to hold another key", async () => {
    const keyFile = join(directory, "changed");
    await writeFile(keyFile, formatLocalKeyFile(key), { mode: 0o600 });
    const provider = createLocalKeyProvider({ keyFile });
    await provider.open(AbortSignal.timeout(1_000));
    const encrypted = await provider.encrypt(Buffer.from("seed"), call("v2"));
    await writeFile(keyFile, formatLocalKeyFile(randomBytes(32)));
    await assert.rejects(
      provider.probe(AbortSignal.timeout(1_000)),
      (error) => error instanceof KmsEtcdError && error.code === "key-unusable",
    );
    // What was written before stays readable until the restart.
    assert.equal(Buffer.from(await provider.decrypt(asInput("v2", encrypted), call("v2"))).toString(), "seed");
  });
});

const goldenKeyId = "local-e0f5ab9597d2591407067784656ba6a3";
const goldenCiphertext = "01050505050505050505050505e0b83a60683ba74effcaea84a541fdd4bf5c4c21";
