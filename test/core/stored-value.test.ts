import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { providerIds } from "../../core/encryption-configuration";
import { messageCodec } from "../../core/protobuf";
import { localProviderId, readStoredValue } from "../../core/stored-value";

/** kmsv2/v2/api.proto without its enum, which is field 5. */
const encryptedObject = messageCodec<{
  data: Uint8Array;
  keyId: string;
  dekSource: Uint8Array;
  annotations: Readonly<Record<string, Uint8Array>>;
}>({
  data: { number: 1, type: "bytes" },
  keyId: { number: 2, type: "string" },
  dekSource: { number: 3, type: "bytes" },
  annotations: { number: 4, type: "bytesMap" },
});
const seedType = Buffer.from([5 << 3, 1]);

function kmsV2Value(name: string, keyId: string, data: Uint8Array = randomBytes(1024), type = seedType): Buffer {
  const object = {
    data,
    keyId,
    dekSource: Buffer.alloc(60, 1),
    annotations: { "version.example.io": Buffer.from("1") },
  };
  return Buffer.concat([Buffer.from(`k8s:enc:kms:v2:${name}:`), encryptedObject.encode(object), type]);
}

function kmsV1Value(name: string, keyLength = 60): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(keyLength);
  return Buffer.concat([Buffer.from(`k8s:enc:kms:v1:${name}:`), head, Buffer.alloc(keyLength, 0x3a), randomBytes(60)]);
}

function reasonOf(value: Buffer): string {
  const read = readStoredValue(value);
  return read.kind === "unknown" ? read.reason : `known: ${read.provider}`;
}

const name = fc.string({ unit: fc.constantFrom(..."abcxyz019-_."), minLength: 1, maxLength: 63 });

describe("a stored value", () => {
  it("of KMS v2 names its provider, its key_id and the type of its data key", () => {
    assert.deepEqual(readStoredValue(kmsV2Value("kms-etcd-1a2b", "local-00ff")), {
      kind: "known",
      provider: "kms/v2/kms-etcd-1a2b",
      keyId: "local-00ff",
      dekSourceType: "hkdf-sha256-xnonce-aes-gcm-seed",
    });
    const gcm = readStoredValue(kmsV2Value("p", "k", Buffer.alloc(1), Buffer.alloc(0)));
    assert.equal(gcm.kind === "known" && gcm.dekSourceType, "aes-gcm-key");
  });

  it("of KMS v2 is read the same whatever name, key_id and content it has", () => {
    fc.assert(
      fc.property(
        name,
        fc.string({ unit: "binary", minLength: 1 }),
        fc.uint8Array({ minLength: 1 }),
        (provider, keyId, data) => {
          const read = readStoredValue(kmsV2Value(provider, keyId, data));
          assert.ok(read.kind === "known");
          assert.deepEqual([read.provider, read.keyId], [`kms/v2/${provider}`, keyId]);
        },
      ),
    );
  });

  it("of KMS v1 names its provider, a colon in the name included", () => {
    fc.assert(
      fc.property(name, name, fc.integer({ min: 1, max: 1024 }), (first, second, keyLength) => {
        assert.deepEqual(readStoredValue(kmsV1Value(first, keyLength)), { kind: "known", provider: `kms/v1/${first}` });
        // "b:" as a length is above 11,000, more than any data key has.
        assert.equal(reasonOf(kmsV1Value(`${first}:${second}`, keyLength)), `known: kms/v1/${first}:${second}`);
      }),
    );
  });

  for (const kind of ["aescbc", "aesgcm", "secretbox"]) {
    it(`of ${kind} names the local key`, () => {
      const value = Buffer.concat([Buffer.from(`k8s:enc:${kind}:v1:key-1:`), randomBytes(80)]);
      assert.deepEqual(readStoredValue(value), { kind: "known", provider: `${kind}/key-1` });
    });
  }

  it("of aescbc is told by its whole blocks, a colon in the key's name included", () => {
    for (const name of ["a", "a:b", "a:b:c", "a:"]) {
      for (const byte of [0x3a, 0x41, 0xff]) {
        const value = Buffer.concat([Buffer.from(`k8s:enc:aescbc:v1:${name}:`), Buffer.alloc(48, byte)]);
        assert.deepEqual(readStoredValue(value), { kind: "known", provider: `aescbc/${name}` });
      }
    }
    const damaged = Buffer.concat([Buffer.from("k8s:enc:aescbc:v1:a:"), Buffer.alloc(9, 0xff), Buffer.alloc(40, 0x3a)]);
    assert.deepEqual(readStoredValue(damaged), { kind: "known", provider: "aescbc/a" });
  });

  it("of a local key has the id that the configuration's key has, whatever its name is", () => {
    const unit = fc.constantFrom(..."ab:é-");
    const named = fc.string({ unit, minLength: 1, maxLength: 40 }).filter((keyName) => !keyName.startsWith(":"));
    fc.assert(
      fc.property(named, fc.integer({ min: 2, max: 9 }), fc.integer({ min: 0, max: 15 }), (keyName, blocks, rest) => {
        for (const kind of ["aescbc", "aesgcm", "secretbox"] as const) {
          const data = Buffer.alloc(16 * blocks + (kind === "aescbc" ? 0 : rest), ":");
          const value = Buffer.concat([Buffer.from(`k8s:enc:${kind}:v1:${keyName}:`), data]);
          const [id] = providerIds({ kind, keys: [{ name: keyName, secret: "c2VjcmV0" }] });
          assert.deepEqual(readStoredValue(value), { kind: "known", provider: id });
        }
      }),
      { numRuns: 200 },
    );
    assert.equal(localProviderId("aesgcm", "old:2019"), "aesgcm/old");
    assert.equal(localProviderId("aescbc", "old:2019"), "aescbc/old:2019");
    // Behind its first colon a value may have whole blocks as well: then the whole name can't be read back.
    assert.equal(localProviderId("aescbc", `old:${"x".repeat(15)}`), "aescbc/old");
  });

  for (const [form, value] of [
    ["protobuf", Buffer.from("k8s\0\n\x0c\n\x02v1\x12\x06Secret")],
    ["JSON", Buffer.from('{"kind":"Secret"}')],
    ["CBOR", Buffer.from([0xd9, 0xd9, 0xf7, 0xa1])],
  ] as const) {
    it(`in plaintext ${form} is identity`, () => {
      assert.deepEqual(readStoredValue(value), { kind: "known", provider: "identity" });
    });
  }

  it("that fits nothing is unknown, with the reason", () => {
    assert.equal(reasonOf(Buffer.alloc(0)), "the value is empty");
    assert.equal(reasonOf(Buffer.from("k8s:enc")), "the value is neither encrypted nor protobuf, JSON or CBOR");
    assert.equal(reasonOf(Buffer.from("k8s:enc:kms:v2:name")), "the prefix k8s:enc: is cut off");
    assert.equal(reasonOf(Buffer.from("k8s:enc:kms:v2::x")), "the prefix k8s:enc:kms:v2: names no provider");
    assert.equal(
      reasonOf(Buffer.from("k8s:enc:rot13:v1:a:x")),
      "the prefix k8s:enc:rot13:v1: is of no provider that is known here",
    );
    assert.equal(reasonOf(Buffer.from("k8s:enc:aescbc:v1:a:")), "there is no data after the prefix");
    assert.equal(
      reasonOf(Buffer.from("k8s:enc:kms:v1:a:\x00\x10short")),
      "no encrypted data key follows the prefix k8s:enc:kms:v1:a:",
    );
    assert.equal(reasonOf(kmsV2Value("p", "")), "the value of kms/v2/p names no key_id");
    assert.equal(
      reasonOf(kmsV2Value("p", "k", Buffer.alloc(0))),
      "the value of kms/v2/p lacks its data or its data key",
    );
    assert.equal(
      reasonOf(kmsV2Value("p", "k", Buffer.alloc(1), Buffer.from([5 << 3, 9]))),
      "the value of kms/v2/p has the unknown data key type 9",
    );
    assert.match(
      reasonOf(kmsV2Value("p", "k").subarray(0, 60)),
      /^after the prefix of kms\/v2\/p, a protobuf message is malformed/,
    );
  });

  it("is never an exception, and never known by another name, when it is cut off or damaged", () => {
    const whole = kmsV2Value("provider", "key-id", Buffer.alloc(40, 2));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), (at, byte) => {
        const cut = readStoredValue(whole.subarray(0, at));
        // Cut between two fields a message is still whole; then it is the one that was there.
        if (cut.kind === "known") assert.equal(cut.keyId, "key-id");
        const damaged = Buffer.from(whole);
        damaged[at] = byte;
        readStoredValue(damaged);
      }),
      { numRuns: 2000 },
    );
  });
});
