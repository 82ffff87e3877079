import type { KeyProvider } from "../../../../plugin-server/key-provider";
import { setAwsEnvironment } from "../../../fakes/aws/aws-environment";
import { type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import type { FakeKey } from "../../../fakes/aws/kms-keys";
import { keyProviderContract } from "../../contract/key-provider.contract";
import { awsProviders, environmentCredentials } from "./rig";

describe("AWS KMS", () => {
  let kms: KmsFake;
  let key: FakeKey;
  let other: FakeKey;
  let restore: () => void;

  before(async () => {
    restore = setAwsEnvironment(environmentCredentials);
    kms = await startKmsFake();
    key = kms.keys.add();
    other = kms.keys.add();
    // AWS KMS finds the key by the blob, so what keeps one plugin from another's data is the policy of its role.
    other.denied.add("Decrypt");
  });
  after(async () => {
    await kms.close();
    restore();
  });

  const providerFor = (keyId: string): KeyProvider => {
    const [provider] = awsProviders(kms, { keys: [{ keyId, encryptionContext: {} }] });
    if (provider === undefined) throw new Error("no provider was made");
    return provider;
  };

  keyProviderContract("a key in AWS KMS", {
    create: () => providerFor(key.arn),
    createOther: () => providerFor(other.arn),
    checksKeyId: false,
    plaintextSizes: [1, 16, 1_024, 4_096],
    disable: async () => {
      key.state = "Disabled";
      return async () => {
        key.state = "Enabled";
      };
    },
  });
});
