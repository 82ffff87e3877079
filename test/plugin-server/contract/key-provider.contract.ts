/** What every key provider must do, whatever is behind it. Each provider's own tests call `keyProviderContract`. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { kmsV2Limits } from "../../../core/kms-protocol";
import type { CallContext, DecryptInput, Encrypted, KeyProvider } from "../../../plugin-server/key-provider";

export interface ContractSubject {
  /** A provider for a usable key; each is new, and `open` has not been called. */
  create(): KeyProvider | Promise<KeyProvider>;
  /** Another key in the same place. */
  createOther(): KeyProvider | Promise<KeyProvider>;
  /** Whether v2 Decrypt refuses another key_id than its own (aws-encryption-provider never has). */
  readonly checksKeyId: boolean;
  /** Sizes of plaintext that the key takes, beside the 32 bytes of API servers. */
  readonly plaintextSizes: readonly number[];
  /** Makes the key unusable for providers that `create` has made, until the returned function is called. */
  disable?(): Promise<() => Promise<void>>;
}

export function keyProviderContract(name: string, subject: ContractSubject): void {
  describe(`${name} as a key provider`, () => {
    const opened: KeyProvider[] = [];
    async function open(made: KeyProvider | Promise<KeyProvider>): Promise<KeyProvider> {
      const provider = await made;
      await provider.open(AbortSignal.timeout(5_000));
      opened.push(provider);
      return provider;
    }
    afterEach(async () => {
      for (const provider of opened.splice(0)) await provider.close();
    });

    for (const kms of ["v1", "v2"] as const) {
      it(`gives back over ${kms} what it encrypted`, async () => {
        const provider = await open(subject.create());
        for (const size of [32, ...subject.plaintextSizes]) {
          const plaintext = randomBytes(size);
          const decrypted = await provider.decrypt(
            asInput(kms, await provider.encrypt(plaintext, call(kms))),
            call(kms),
          );
          assert.deepEqual(Buffer.from(decrypted), plaintext, `${size} bytes`);
        }
      });

      it(`decrypts over ${kms} after a restart`, async () => {
        const plaintext = randomBytes(32);
        const encrypted = await (await open(subject.create())).encrypt(plaintext, call(kms));
        const restarted = await open(subject.create());
        assert.deepEqual(Buffer.from(await restarted.decrypt(asInput(kms, encrypted), call(kms))), plaintext);
      });

      it(`tells over ${kms} that damaged ciphertext is at fault, not the key`, async () => {
        const provider = await open(subject.create());
        const encrypted = await provider.encrypt(randomBytes(32), call(kms));
        const damaged = Buffer.from(encrypted.ciphertext);
        // The last byte but one: in Azure's base64url text the last one has bits that do not count.
        const at = damaged.length - 2;
        damaged[at] = damaged[at] === 0x41 ? 0x42 : 0x41;
        const wrong = [damaged, Buffer.from(encrypted.ciphertext.slice(0, 8)), randomBytes(97)];
        for (const ciphertext of wrong) {
          const error = await failure(provider.decrypt({ ...asInput(kms, encrypted), ciphertext }, call(kms)));
          assertCode(error, ["corrupt", "invalid-input"]);
        }
      });
    }

    it("keeps the limits of KMS v2 and never repeats itself", async () => {
      const provider = await open(subject.create());
      const plaintext = randomBytes(32);
      const [first, second] = await Promise.all([
        provider.encrypt(plaintext, call("v2")),
        provider.encrypt(plaintext, call("v2")),
      ]);
      assert.notDeepEqual(Buffer.from(first.ciphertext), Buffer.from(second.ciphertext));
      for (const { ciphertext, keyId, annotations } of [first, second]) {
        assert.equal(keyId, provider.keyId);
        assert.ok(keyId.length > 0 && Buffer.byteLength(keyId) <= kmsV2Limits.keyIdBytes);
        assert.ok(ciphertext.length > 0 && ciphertext.length <= kmsV2Limits.ciphertextBytes);
        const entries = Object.entries(annotations);
        assert.ok(
          entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0) <= kmsV2Limits.annotationBytes,
        );
        // apimachinery IsFullyQualifiedDomainName: lower case, at least two labels.
        for (const [key] of entries)
          assert.match(key, /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/);
      }
    });

    it("reports the same key_id each time, and another key another one", async () => {
      const [first, again, other] = [
        await open(subject.create()),
        await open(subject.create()),
        await open(subject.createOther()),
      ];
      assert.equal(again.keyId, first.keyId);
      assert.notEqual(other.keyId, first.keyId);
    });

    it("does not decrypt what another key encrypted", async () => {
      const [provider, other] = [await open(subject.create()), await open(subject.createOther())];
      const encrypted = await other.encrypt(randomBytes(32), call("v1"));
      assert.ok((await failure(provider.decrypt(asInput("v1", encrypted), call("v1")))) instanceof KmsEtcdError);
    });

    if (subject.checksKeyId) {
      it("refuses a key_id that is not its own", async () => {
        const provider = await open(subject.create());
        const encrypted = await provider.encrypt(randomBytes(32), call("v2"));
        const keyId = createHash("sha256").update("another").digest("hex");
        assertCode(await failure(provider.decrypt({ ...asInput("v2", encrypted), keyId }, call("v2"))), [
          "invalid-input",
          "not-found",
        ]);
      });
    }

    it("passes its probe, and does not change by it", async () => {
      const provider = await open(subject.create());
      const { keyId } = provider;
      await provider.probe(AbortSignal.timeout(5_000));
      assert.equal(provider.keyId, keyId);
    });

    it("says what it is without saying anything secret", async () => {
      const provider = await open(subject.create());
      assert.ok(Object.keys(provider.description).length > 0);
      assert.ok(["v2", "v2beta1"].includes(provider.statusVersion));
    });

    it("never puts plaintext or ciphertext into an error", async () => {
      const provider = await open(subject.create());
      const plaintext = randomBytes(48).toString("hex").slice(0, 32);
      const encrypted = await provider.encrypt(Buffer.from(plaintext), call("v2"));
      const damaged = Buffer.from(encrypted.ciphertext);
      damaged[damaged.length - 2] = (damaged.at(-2) ?? 0) ^ 1;
      const error = await failure(provider.decrypt({ ...asInput("v2", encrypted), ciphertext: damaged }, call("v2")));
      const shown = `${JSON.stringify(error)} ${error.message} ${error.stack} ${error.remedy} ${causes(error)}`;
      for (const text of [plaintext, damaged.toString("base64"), damaged.toString("latin1"), damaged.toString("hex")]) {
        assert.ok(!shown.includes(text.slice(0, 16)), "an error must not show what a request was about");
      }
    });

    it("ends a call whose signal has aborted, with an error or with its answer", async () => {
      const provider = await open(subject.create());
      const aborted = { ...call("v2"), signal: AbortSignal.abort() };
      const started = performance.now();
      await provider
        .encrypt(randomBytes(32), aborted)
        .catch((error: unknown) => assertCode(error, ["timeout", "cancelled"]));
      assert.ok(performance.now() - started < 1_000);
    });

    const { disable } = subject;
    if (disable !== undefined) {
      it("fails its probe while the key can't be used, and passes it afterwards", async () => {
        const provider = await open(subject.create());
        const enable = await disable();
        try {
          assertCode(await failure(provider.probe(AbortSignal.timeout(5_000))), ["key-unusable"]);
        } finally {
          await enable();
        }
        await provider.probe(AbortSignal.timeout(5_000));
      });
    }
  });
}

export function call(kms: "v1" | "v2", timeoutMs = 5_000): CallContext {
  return { kms, uid: kms === "v2" ? "contract-uid" : "", signal: AbortSignal.timeout(timeoutMs) };
}

/** What an API server would send back for decryption: v1 stores the ciphertext alone. */
export function asInput(kms: "v1" | "v2", { ciphertext, keyId, annotations }: Encrypted): DecryptInput {
  return kms === "v2" ? { ciphertext, keyId, annotations } : { ciphertext, keyId: "", annotations: {} };
}

async function failure(promise: Promise<unknown>): Promise<KmsEtcdError> {
  const error = await promise.then(
    () => assert.fail("the call must fail"),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KmsEtcdError, `must be a KmsEtcdError: ${String(error)}`);
  return error;
}

function assertCode(error: unknown, codes: readonly ErrorCode[]): void {
  assert.ok(error instanceof KmsEtcdError, String(error));
  assert.ok(codes.includes(error.code), `${error.code} (${error.message}) must be one of ${codes.join(", ")}`);
}

function causes(error: unknown): string {
  return error instanceof Error ? `${error.message} ${causes(error.cause)}` : "";
}
