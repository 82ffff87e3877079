import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../../core/encryption-configuration";
import { providerName } from "../../../core/provider-name";
import { managedResources } from "../../../rotation/cli/look";
import { keyVersion } from "../goals";

const kms = (name: string): ProviderItem => ({ kind: "kms", apiVersion: "v2", name, endpoint: "unix:///x.socket" });
const ours = kms(providerName("v2", keyVersion(1).key, "secrets"));
const block = (resources: readonly string[], ...providers: ProviderItem[]) => ({ resources, providers });

describe("the resources of a goal that names none", () => {
  it("what the engine encrypts on any server, because leaving one out of a goal would decrypt it", () => {
    const one: EncryptionConfiguration = {
      blocks: [block(["secrets", "configmaps"], ours), block(["*.*"], kms("hand"))],
    };
    const two: EncryptionConfiguration = {
      blocks: [block(["secrets"], { kind: "identity" }, ours), block(["pandas.example.com"], ours)],
    };
    assert.deepEqual(managedResources([one, two]), ["secrets", "configmaps", "pandas.example.com"]);
  });

  it("nothing yet, or only what others encrypt => secrets", () => {
    assert.deepEqual(managedResources([]), ["secrets"]);
    assert.deepEqual(managedResources([{ blocks: [block(["configmaps"], kms("hand"))] }]), ["secrets"]);
  });
});
