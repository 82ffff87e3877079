import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type EncryptionConfiguration,
  encryptionConfigurationDocument,
  type ProviderItem,
  readEncryptionConfiguration,
  readersOf,
  writerOf,
} from "../../core/encryption-configuration";

const kms = (name: string): ProviderItem => ({
  kind: "kms",
  apiVersion: "v2",
  name,
  endpoint: `unix:///run/${name}.socket`,
  timeout: "3s",
});

const item: fc.Arbitrary<ProviderItem> = fc.oneof(
  fc.constant<ProviderItem>({ kind: "identity" }),
  fc.record({
    kind: fc.constantFrom("aescbc" as const, "aesgcm" as const, "secretbox" as const),
    keys: fc.array(fc.record({ name: fc.stringMatching(/^[a-z]{1,8}$/), secret: fc.base64String({ minLength: 4 }) }), {
      minLength: 1,
      maxLength: 3,
    }),
  }),
  fc.record({
    kind: fc.constant("kms" as const),
    apiVersion: fc.constant("v1" as const),
    name: fc.stringMatching(/^[a-z:]{1,8}$/),
    endpoint: fc.constant("unix:///run/a.socket"),
    cachesize: fc.constantFrom(-1, 1, 1000),
  }),
);

function refused(document: unknown, pattern: RegExp): void {
  assert.throws(() => readEncryptionConfiguration(document), pattern);
}

const withProvider = (provider: unknown) => ({
  kind: "EncryptionConfiguration",
  resources: [{ resources: ["secrets"], providers: [provider] }],
});

describe("EncryptionConfiguration", () => {
  it("what is written is read back the same", () => {
    fc.assert(
      fc.property(fc.array(fc.array(item, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }), (lists) => {
        const config: EncryptionConfiguration = {
          blocks: lists.map((providers, index) => ({ resources: [`r${index}`], providers })),
        };
        const written = JSON.parse(JSON.stringify(encryptionConfigurationDocument(config))) as unknown;
        assert.equal(JSON.stringify(readEncryptionConfiguration(written)), JSON.stringify(config));
      }),
    );
  });

  it("the first provider writes, all of them read, every key of a local item counts", () => {
    const list: ProviderItem[] = [
      kms("new"),
      {
        kind: "aescbc",
        keys: [
          { name: "a", secret: "x" },
          { name: "b", secret: "y" },
        ],
      },
      { kind: "identity" },
    ];
    assert.equal(writerOf(list), "kms/v2/new");
    assert.deepEqual([...readersOf(list)], ["kms/v2/new", "aescbc/a", "aescbc/b", "identity"]);
    assert.equal(writerOf([]), "identity");
  });

  it("KMS without apiVersion is v1, as API servers read it", () => {
    const config = readEncryptionConfiguration(
      withProvider({ kms: { name: "azurekmsprovider", endpoint: "unix:///opt/azurekms.socket", cachesize: 1000 } }),
    );
    assert.equal(writerOf(config.blocks[0]?.providers ?? []), "kms/v1/azurekmsprovider");
  });

  it("what stands there without a value is not there, as for API servers", () => {
    const bare = { apiVersion: "v2", name: "a", endpoint: "unix:///a", timeout: null, cachesize: null };
    const config = readEncryptionConfiguration(withProvider({ kms: bare, identity: null }));
    assert.deepEqual(config.blocks[0]?.providers, [
      { kind: "kms", apiVersion: "v2", name: "a", endpoint: "unix:///a" },
    ]);
    refused(withProvider({ identity: null }), /names 0 provider types/);
  });

  it("what an API server refuses is refused, naming the place and never a secret", () => {
    refused(null, /the document is not an object/);
    refused({ kind: "Pod" }, /kind is "Pod"/);
    refused({ kind: "EncryptionConfiguration", resources: [] }, /resources is empty/);
    refused(
      withProvider({ kms: { apiVersion: "v2", name: "a:b", endpoint: "unix:///a" } }),
      /resources\[0\]\.providers\[0\]\.kms\.name contains ":"/,
    );
    refused(withProvider({ kms: { apiVersion: "v3", name: "a", endpoint: "unix:///a" } }), /apiVersion is "v3"/);
    refused(withProvider({ kms: { apiVersion: "v2", name: "a", endpoint: "tcp://a" } }), /endpoint is "tcp:\/\/a"/);
    refused(
      withProvider({ kms: { apiVersion: "v2", name: "a", endpoint: "unix:///a", cachesize: 1 } }),
      /cachesize is for KMS v1 only/,
    );
    refused(withProvider({ kms: {}, identity: {} }), /names 2 provider types/);
    refused(withProvider({ rot13: {} }), /unknown provider type "rot13"/);
    refused(withProvider({ aescbc: { keys: [{ name: "k" }] } }), /keys\[0\]\.secret is not a text/);
    const twice = { kms: { apiVersion: "v2", name: "same", endpoint: "unix:///a" } };
    refused(
      { kind: "EncryptionConfiguration", resources: [{ resources: ["secrets"], providers: [twice, twice] }] },
      /repeats "same"/,
    );
  });
});
