import assert from "node:assert/strict";
import fc from "fast-check";
import { parse } from "yaml";
import { refusalOf } from "../../../../core/configuration-refusal";
import {
  type EncryptionConfiguration,
  encryptionConfigurationDocument,
  type ProviderItem,
} from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import {
  mapEndpoints,
  parseEncryptionConfig,
  renderEncryptionConfig,
} from "../../../../rotation/adapters/hosts/encryption-config-file";
import { endpointMap } from "../../../../rotation/adapters/hosts/endpoint-map";

const text = `# Managed by the platform team, see runbook 12.
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  # Everything that holds credentials.
  - resources:
      - secrets # the usual
    providers:
      # The 2023 key.
      - aescbc:
          keys:
            - name: key1
              secret: MDEyMzQ1Njc4OWFiY2RlZg==
      - identity: {} # until all is migrated
  - resources: [configmaps]
    providers:
      - identity: {}
`;

const kms = (name: string): ProviderItem => ({
  kind: "kms",
  apiVersion: "v2",
  name,
  endpoint: `unix:///run/${name}.socket`,
  timeout: "3s",
});
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const name = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const localItem = record({
  kind: fc.constantFrom("aescbc" as const, "aesgcm" as const, "secretbox" as const),
  keys: fc.array(record({ name, secret: fc.base64String({ minLength: 4 }) }), { minLength: 1, maxLength: 3 }),
});
const item: fc.Arbitrary<ProviderItem> = fc.oneof(
  fc.constant<ProviderItem>({ kind: "identity" }),
  localItem,
  record({
    kind: fc.constant("kms" as const),
    apiVersion: fc.constant("v1" as const),
    name,
    endpoint: name.map((x) => `unix:///${x}`),
    cachesize: fc.integer({ min: 1 }),
  }),
);
const config: fc.Arbitrary<EncryptionConfiguration> = record<EncryptionConfiguration>({
  blocks: fc.array(
    record({
      resources: fc.uniqueArray(fc.constantFrom("secrets", "configmaps", "pandas.example.com", "*.apps", "*.*"), {
        minLength: 1,
      }),
      providers: fc.array(item, { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
}).filter((model) => refusalOf(model, false) === undefined);

describe("the encryption configuration file", function () {
  this.timeout(30_000); // other work may share the machine
  it("any model is written and read back, over any other file or none", () => {
    fc.assert(
      fc.property(config, fc.option(config, { nil: undefined }), (wanted, present) => {
        const before = present && renderEncryptionConfig(present, undefined);
        assert.deepEqual(parseEncryptionConfig(renderEncryptionConfig(wanted, before)), wanted);
      }),
    );
  });

  it("a reader is added => every comment, name and key of the file stays", () => {
    const model = parseEncryptionConfig(text);
    const [first, second] = model.blocks;
    assert.ok(first && second);
    const wanted = {
      blocks: [
        { ...first, providers: [first.providers[0] as ProviderItem, kms("k1"), { kind: "identity" as const }] },
        second,
      ],
    };
    const written = renderEncryptionConfig(wanted, text);
    for (const line of text.split("\n")) assert.ok(written.includes(line.trim()), `kept: ${line}`);
    assert.deepEqual(parseEncryptionConfig(written), wanted);
  });

  it("providers change places => their comments go with them", () => {
    const model = parseEncryptionConfig(text);
    const blocks = model.blocks.map((block, index) =>
      index === 0 ? { ...block, providers: [...block.providers].reverse() } : block,
    );
    const written = renderEncryptionConfig({ blocks }, text);
    assert.match(written, /identity: \{\} # until all is migrated[\s\S]*aescbc/);
    assert.deepEqual(parseEncryptionConfig(written), { blocks });
  });

  it("a new block comes first, a block that goes takes its comments along", () => {
    const model = parseEncryptionConfig(text);
    const added = { blocks: [{ resources: ["pandas.example.com"], providers: [kms("k2")] }, ...model.blocks] };
    assert.deepEqual(parseEncryptionConfig(renderEncryptionConfig(added, text)), added);
    const rest = { blocks: model.blocks.slice(1) };
    const written = renderEncryptionConfig(rest, text);
    assert.deepEqual(parseEncryptionConfig(written), rest);
    assert.ok(written.includes("runbook 12") && !written.includes("MDEy"));
  });

  it("JSON and YAML anchors are understood, and what can't be edited is written anew", () => {
    const model = parseEncryptionConfig(text);
    const json = JSON.stringify({
      kind: "EncryptionConfiguration",
      apiVersion: "apiserver.config.k8s.io/v1",
      resources: [{ resources: ["secrets"], providers: [{ identity: {} }] }],
    });
    assert.deepEqual(parseEncryptionConfig(renderEncryptionConfig(model, json)), model);
    const anchored =
      "kind: EncryptionConfiguration\nresources:\n  - resources: [secrets]\n    providers: &p [{identity: {}}]\n  - resources: [configmaps]\n    providers: *p\n";
    const separate = {
      blocks: parseEncryptionConfig(anchored).blocks.map((block, index) =>
        index === 0 ? { ...block, providers: [kms("k1"), ...block.providers] } : block,
      ),
    };
    assert.deepEqual(parseEncryptionConfig(renderEncryptionConfig(separate, anchored)), separate);
    assert.deepEqual(parseEncryptionConfig(renderEncryptionConfig(model, "no: [configuration")), model);
  });

  it("names that YAML 1.1 takes for something else => API servers, which read that, get them as text", () => {
    const names = ["yes", "on", "n", "2024_01", "0b11", "1_000", "012", "12:30:00", "~", "2024-01-02", "<<"];
    const keys = names.map((keyName) => ({ name: keyName, secret: "c2VjcmV0" }));
    const wanted = { blocks: [{ resources: ["secrets"], providers: [kms("k1"), { kind: "aescbc" as const, keys }] }] };
    const document = encryptionConfigurationDocument(wanted);
    for (const before of [undefined, text, "{}"]) {
      const written = renderEncryptionConfig(wanted, before);
      assert.deepEqual(parse(written, { version: "1.1" }), document, written);
      assert.deepEqual(parseEncryptionConfig(written), wanted);
    }
  });

  it("what `<<` merges is read as API servers read it, and stays when something else is edited", () => {
    const merged = `kind: EncryptionConfiguration
x-base: &base {apiVersion: v2, timeout: 3s}
resources:
- resources: [secrets]
  providers:
  - kms:
      <<: *base
      name: k1
      endpoint: unix:///run/k1.socket
`;
    const model = parseEncryptionConfig(merged);
    assert.deepEqual(model.blocks[0]?.providers, [kms("k1")]);
    const added = { blocks: model.blocks.map((block) => ({ ...block, providers: [...block.providers, kms("k2")] })) };
    const written = renderEncryptionConfig(added, merged);
    assert.deepEqual(parseEncryptionConfig(written), added);
    assert.match(written, /<<: \*base/);
  });

  it("a file that is not YAML => line and reason, and nothing of its text", () => {
    const broken = "kind: EncryptionConfiguration\nresources:\n  - secret: 'c2VjcmV0LW1hdGVyaWFs\n  ]c2VjcmV0\n";
    assert.throws(
      () => parseEncryptionConfig(broken),
      (error: KmsEtcdError) => {
        assert.ok(error instanceof KmsEtcdError);
        assert.match(error.message, /line \d+ is not YAML/);
        assert.ok(!`${error.message}${error.remedy}${error.stack}`.includes("c2Vjcm"));
        return true;
      },
    );
  });

  it("what no API server loads => refused, with the place and the remedy", () => {
    const masked = text.replace("- secrets # the usual", '- "*."');
    assert.throws(() => parseEncryptionConfig(masked), {
      message: /resources\[1\]\.resources\[0\] is "configmaps", which the earlier "\*\." masks/,
      remedy: /put the block of "\*\." behind/,
    });
  });

  it("long keys are not folded", () => {
    const secret = Buffer.alloc(300, 7).toString("base64");
    const long = {
      blocks: [{ resources: ["secrets"], providers: [{ kind: "secretbox" as const, keys: [{ name: "a", secret }] }] }],
    };
    assert.ok(renderEncryptionConfig(long, undefined).includes(secret));
  });
});

describe("endpoints in a host's file", () => {
  it("a socket in the host's directory has the model's endpoint, any other keeps its own", () => {
    const map = endpointMap("/run/kms-etcd", "/tmp/cp1");
    const endpoints = (value: EncryptionConfiguration) => {
      const all: string[] = [];
      mapEndpoints(value, (endpoint) => (all.push(endpoint), endpoint));
      return all;
    };
    const onHost = {
      blocks: [
        {
          resources: ["secrets"],
          providers: [
            { ...kms("a"), endpoint: "unix:///tmp/cp1/a.socket" },
            { ...kms("b"), endpoint: "unix:///var/other.sock" },
          ],
        },
      ],
    } as EncryptionConfiguration;
    assert.deepEqual(endpoints(map.toModel(onHost)), ["unix:///run/kms-etcd/a.socket", "unix:///var/other.sock"]);
    assert.deepEqual(map.toHost(map.toModel(onHost)), onHost);
  });
});
