import assert from "node:assert/strict";
import type { EncryptionConfiguration, ProviderItem } from "../../../core/encryption-configuration";
import { providerName } from "../../../core/provider-name";
import { RotationStage } from "../../../core/rotation-stage";
import { managedResources, targetOf } from "../../../rotation/cli/look";
import type { Settings } from "../../../rotation/cli/settings";
import type { Terminal } from "../../../rotation/cli/terminal";
import type { Cluster } from "../../../rotation/cluster";
import { keyVersion } from "../goals";

const kms = (name: string, endpoint = "unix:///x.socket"): ProviderItem => ({
  kind: "kms",
  apiVersion: "v2",
  name,
  endpoint,
});
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

describe("the target of a command that names none", () => {
  it("a resource that a wildcard encrypts => the wildcard's key", async () => {
    const one = keyVersion(1);
    const endpoint = (plugin: { readonly socketFile: string }) => `unix:///run/${plugin.socketFile}`;
    const wildcard = kms(providerName("v2", one.key, "*.*"), endpoint(one));
    const config = { blocks: [block(["*.*"], wildcard)] };
    const seen = { servers: [{ name: "cp1", file: { hash: "a", config, writtenAt: 0 }, loaded: {} }] };
    const cluster = { servers: ["cp1"], fleet: { observe: async () => seen, endpoint } } as unknown as Cluster;
    const settings = { keys: [{ version: 1, plugin: one }], resources: ["secrets", "*.*"] } as unknown as Settings;
    const context = { terminal: { isTTY: false } as unknown as Terminal, signal: new AbortController().signal };
    const { keyVersion: version } = await targetOf(cluster, settings, undefined, RotationStage.Verify, context);
    assert.equal(version, 1);
  });
});
