import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { setAwsEnvironment } from "../../../fakes/aws/aws-environment";
import { type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import { ownCryptography } from "../../../fakes/aws/kms-keys";
import { useServe } from "../../support/served";
import peer from "./peer-ciphertexts.json";
import { awsProviders, environmentCredentials, inCall, stored } from "./rig";

describe("a key in AWS KMS, as aws-encryption-provider keeps it", () => {
  let kms: KmsFake;
  let restore: () => void;
  let providers: readonly KeyProvider[];

  const peersKeys = () =>
    awsProviders(kms, {
      keys: peer.keys.map((key) => ({ keyId: key.arn, encryptionContext: key.encryptionContext })),
    });

  before(async () => {
    restore = setAwsEnvironment(environmentCredentials);
    kms = await startKmsFake();
    for (const key of peer.keys) kms.keys.add({ arn: key.arn, material: Buffer.from(key.material, "base64") });
    providers = peersKeys();
  });
  after(async () => {
    for (const provider of providers) await provider.close();
    await kms.close();
    restore();
  });

  const serve = useServe();
  const provider = (index: number): KeyProvider => {
    const found = providers[index];
    assert.ok(found);
    return found;
  };
  const keyOf = (index: number) => kms.keys.use(provider(index).keyId, "Decrypt");

  it("decrypts every ciphertext that the peer wrote, through v1 and through v2", async () => {
    for (const recorded of peer.roundTrips) {
      for (const version of ["v1", "v2"] as const) {
        const input = stored(Buffer.from(recorded.ciphertext, "base64"), recorded.keyId);
        const plaintext = await provider(recorded.key).decrypt(input, inCall(version));
        assert.equal(Buffer.from(plaintext).toString("base64"), recorded.plaintext);
      }
    }
  });

  it("decrypts every ciphertext that the peer wrote, over a socket for each key", async () => {
    const { clients } = await serve(peersKeys(), { kind: "aws" });
    for (const { key, keyId, ciphertext: text, plaintext: expected } of peer.roundTrips) {
      const client = clients[key];
      assert.ok(client);
      const ciphertext = Buffer.from(text, "base64");
      const { plain } = await client.v1.Decrypt({ version: "v1beta1", cipher: ciphertext });
      const { plaintext } = await client.v2.Decrypt({ ciphertext, keyId, annotations: {}, uid: "u" });
      assert.deepEqual(
        [plain, plaintext].map((bytes) => Buffer.from(bytes).toString("base64")),
        [expected, expected],
      );
    }
  });

  it("writes what the peer reads: the byte 0x31 and the blob, the --key as key_id, no annotations", async () => {
    for (const [index, { encryptionContext }] of peer.keys.entries()) {
      for (const version of ["v1", "v2"] as const) {
        const plaintext = randomBytes(32);
        const { ciphertext, keyId, annotations } = await provider(index).encrypt(plaintext, inCall(version));
        assert.equal(ciphertext[0], 0x31);
        assert.equal(keyId, peer.keys[index]?.arn);
        assert.deepEqual(annotations, {});
        // The peer drops the first byte and gives the rest to AWS KMS with the same context.
        const context = encryptionContext as Record<string, string>;
        assert.deepEqual(await ownCryptography.decrypt(keyOf(index), ciphertext.subarray(1), context), plaintext);
      }
    }
  });

  it("says v2beta1, as the peer does and as API servers from 1.27 on accept", () => {
    assert.equal(provider(0).statusVersion, "v2beta1");
  });

  it("binds each key's encryption context and no other", async () => {
    const { ciphertext } = await provider(1).encrypt(randomBytes(32), inCall());
    const request = kms.requests.at(-1);
    assert.deepEqual(request?.body["EncryptionContext"], { cluster: "demo", ns: "kube" });
    await assert.rejects(provider(0).decrypt(stored(ciphertext), inCall()), { code: "corrupt" });
  });

  it("reads v1 data from before the version byte, and refuses the same through v2", async () => {
    const recorded = peer.roundTrips.find(({ kms: version }) => version === "v1");
    assert.ok(recorded);
    const bare = Buffer.from(recorded.ciphertext, "base64").subarray(1);
    const plaintext = await provider(recorded.key).decrypt(stored(bare), inCall("v1"));
    assert.equal(Buffer.from(plaintext).toString("base64"), recorded.plaintext);
    await assert.rejects(provider(recorded.key).decrypt(stored(bare), inCall("v2")), {
      code: "corrupt",
      message: "the ciphertext does not begin with the version byte 0x31",
    });
  });

  it("decrypts through v2 whatever key_id and annotations are named, as the peer does", async () => {
    const plaintext = randomBytes(32);
    const { ciphertext } = await provider(0).encrypt(plaintext, inCall());
    const input = { ciphertext, keyId: "another", annotations: { "unknown.example.org": Buffer.from("x") } };
    assert.deepEqual(Buffer.from(await provider(0).decrypt(input, inCall())), plaintext);
  });

  it("reads what an alias wrote before it moved to another key", async () => {
    const [first, second] = [kms.keys.add({ alias: "alias/etcd" }), kms.keys.add()];
    const [byAlias] = awsProviders(kms, {
      region: "us-east-1",
      keys: [{ keyId: "alias/etcd", encryptionContext: {} }],
    });
    assert.ok(byAlias);
    const plaintext = randomBytes(32);
    const { ciphertext, keyId } = await byAlias.encrypt(plaintext, inCall());
    assert.equal(keyId, "alias/etcd");
    kms.keys.setAlias("alias/etcd", second);
    assert.deepEqual(Buffer.from(await byAlias.decrypt(stored(ciphertext), inCall())), plaintext);
    assert.equal(kms.keys.ofBlob(ciphertext.subarray(1)), first);
    await byAlias.close();
  });

  it("answers an empty or an oversized request itself, and the key stays healthy", async () => {
    const before = kms.requests.length;
    const bad = [
      provider(0).encrypt(new Uint8Array(0), inCall()),
      provider(0).encrypt(randomBytes(4_097), inCall()),
      provider(0).decrypt(stored(new Uint8Array(0)), inCall()),
      provider(0).decrypt(stored(Uint8Array.of(0x31)), inCall()),
      provider(0).decrypt(stored(Buffer.concat([Buffer.from("1"), randomBytes(6_145)])), inCall("v1")),
    ];
    for (const request of bad) await assert.rejects(request, { code: "invalid-input" });
    assert.equal(kms.requests.length, before, "no call to AWS KMS");
    await provider(0).probe(AbortSignal.timeout(2_500));
  });

  it("takes the largest plaintext that AWS KMS takes", async () => {
    const plaintext = randomBytes(4_096);
    const { ciphertext } = await provider(0).encrypt(plaintext, inCall());
    assert.deepEqual(Buffer.from(await provider(0).decrypt(stored(ciphertext), inCall())), plaintext);
  });

  it("sends the source ARN and its account, signed, with every call", async () => {
    const sourceArn = "arn:aws:eks:us-east-1:111122223333:cluster/etcd";
    const key = kms.keys.add();
    const [guarded] = awsProviders(kms, { sourceArn, keys: [{ keyId: key.arn, encryptionContext: {} }] });
    assert.ok(guarded);
    await guarded.probe(AbortSignal.timeout(2_500));
    const seen = kms.requests.slice(-2);
    assert.deepEqual(
      seen.map(({ action }) => action),
      ["Encrypt", "Decrypt"],
    );
    for (const { headers } of seen) {
      assert.equal(headers["x-amz-source-arn"], sourceArn);
      assert.equal(headers["x-amz-source-account"], "111122223333");
    }
    await guarded.close();
  });

  it("refuses a source ARN without an account before it serves", () => {
    assert.throws(() => awsProviders(kms, { sourceArn: "arn:aws:s3:::bucket", keys: [] }), {
      code: "invalid-input",
      message: '--source-arn is "arn:aws:s3:::bucket", which is not an ARN that names an account',
    });
  });

  it("gives each of several keys a health of its own, and sees a missing second key before its first use", async () => {
    const good = kms.keys.add();
    const missing = good.arn.replace(/key\/.*/, "key/00000000-0000-4000-8000-000000000000");
    const [first, second] = awsProviders(kms, {
      keys: [good.arn, missing].map((keyId) => ({ keyId, encryptionContext: {} })),
    });
    assert.ok(first && second);
    await first.probe(AbortSignal.timeout(2_500));
    await assert.rejects(second.probe(AbortSignal.timeout(2_500)), (error: Error & { code: string }) => {
      assert.equal(error.code, "key-unusable");
      assert.match(error.message, new RegExp(`Encrypt for ${missing}: AWS KMS does not know the key`));
      return true;
    });
    await first.probe(AbortSignal.timeout(2_500));
    await second.close();
    await first.encrypt(randomBytes(32), inCall());
    await first.close();
  });

  it("describes the key without anything secret", () => {
    assert.deepEqual(provider(1).description, {
      key: peer.keys[1]?.arn,
      region: "us-east-1",
      endpoint: kms.url,
      credentials: "default provider chain",
      encryptionContext: "cluster=demo,ns=kube",
    });
  });
});
