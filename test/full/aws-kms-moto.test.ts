import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { KeyProvider } from "../../plugin-server/key-provider";
import { setAwsEnvironment } from "../fakes/aws/aws-environment";
import { throttling } from "../fakes/aws/faults";
import { type KmsFake, startKmsFake } from "../fakes/aws/kms-fake";
import { type FakeKey, ownCryptography } from "../fakes/aws/kms-keys";
import { type MotoKms, startMotoKms } from "../fakes/aws/moto-kms";
import { findMotoPython } from "../fakes/aws/moto-python";
import { keyProviderContract } from "../plugin-server/contract/key-provider.contract";
import peer from "../plugin-server/providers/aws-kms/peer-ciphertexts.json";
import { awsProviders, environmentCredentials, inCall, stored } from "../plugin-server/providers/aws-kms/rig";

/** A second opinion on the fake and on the recorded ciphertexts: moto does the cryptography. */
describe("AWS KMS by moto", function () {
  this.timeout(900_000);
  let moto: MotoKms | undefined;
  let kms: KmsFake | undefined;
  let restore: (() => void) | undefined;

  before(async function () {
    const python = await findMotoPython();
    if (python === undefined) this.skip();
    const keys = peer.keys.map(({ arn, material }) => ({
      id: String(arn.split("/").at(-1)),
      material: Buffer.from(material, "base64"),
    }));
    moto = await startMotoKms(python, keys);
    kms = await startKmsFake({ cryptography: moto.cryptography });
    for (const { arn, material } of peer.keys) kms.keys.add({ arn, material: Buffer.from(material, "base64") });
    restore = setAwsEnvironment(environmentCredentials);
  });
  after(async () => {
    restore?.();
    await kms?.close();
    await moto?.stop();
  });

  const running = (): KmsFake => {
    assert.ok(kms);
    return kms;
  };
  const keyAt = (index: number): FakeKey => running().keys.use(String(peer.keys[index]?.arn), "Encrypt");
  const contextAt = (index: number) => peer.keys[index]?.encryptionContext as Record<string, string>;
  const providerAt = (index: number): KeyProvider => {
    const [provider] = awsProviders(running(), {
      keys: [{ keyId: String(peer.keys[index]?.arn), encryptionContext: contextAt(index) }],
    });
    assert.ok(provider);
    return provider;
  };

  keyProviderContract("a key in moto", {
    create: () => providerAt(0),
    createOther: () => {
      keyAt(1).denied.add("Decrypt");
      return providerAt(1);
    },
    checksKeyId: false,
    plaintextSizes: [1, 16, 1_024, 4_096],
    disable: async () => {
      const key = keyAt(0);
      key.state = "Disabled";
      return async () => {
        key.state = "Enabled";
      };
    },
  });

  it("decrypts what the peer wrote", async () => {
    const provider = providerAt(0);
    for (const recorded of peer.roundTrips) {
      const input = stored(Buffer.from(recorded.ciphertext, "base64"), recorded.keyId);
      const plaintext = await provider.decrypt(input, inCall(recorded.kms === "v1" ? "v1" : "v2"));
      assert.equal(Buffer.from(plaintext).toString("base64"), recorded.plaintext);
    }
    await provider.close();
  });

  it("agrees with the fake's own cryptography, with and without an encryption context, in both directions", async () => {
    for (const index of peer.keys.keys()) {
      const key = keyAt(index);
      key.denied.clear();
      const provider = providerAt(index);
      const plaintext = randomBytes(32);
      const { ciphertext } = await provider.encrypt(plaintext, inCall());
      assert.deepEqual(await ownCryptography.decrypt(key, ciphertext.subarray(1), contextAt(index)), plaintext);
      const blob = await ownCryptography.encrypt(key, plaintext, contextAt(index));
      const input = stored(Buffer.concat([Buffer.from("1"), blob]));
      assert.deepEqual(Buffer.from(await provider.decrypt(input, inCall())), plaintext);
      await provider.close();
    }
  });

  it("is retried behind faults", async () => {
    const provider = providerAt(0);
    running().order({ fault: throttling() });
    running().order({ fault: { kind: "reset" } });
    await provider.probe(AbortSignal.timeout(2_500));
    await provider.close();
  });
});
