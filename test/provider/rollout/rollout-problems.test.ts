import assert from "node:assert/strict";
import { type Properties, unknown } from "../../../provider/property-values";
import { rolloutProblems } from "../../../provider/rollout/rollout-problems";

const good: Properties = {
  keyVersion: 2,
  keys: [1, 2].map((version) => ({ version, local: { file: `/keys/v${version}`, keyId: `local-${version}` } })),
  local: { controlPlaneFile: "/state/control-plane.json" },
};

describe("inputs of an EncryptionRollout", () => {
  const problems = (changed: Properties) =>
    rolloutProblems({ ...good, ...changed }).map(({ path, reason }) => `${path} ${reason}`);

  it("good inputs => no problem", () => {
    assert.deepEqual(problems({}), []);
    const all = {
      enabled: false,
      allowPlaintextReads: true,
      advanceTo: "Read",
      limits: { reloadSeconds: 30 },
      resources: ["secrets"],
      etcdSnapshot: { directory: "/var/backups/etcd" },
      compactAfterPrune: true,
      withoutLease: false,
      retireKeyVersions: [1],
      policy: { minimumKeptVersions: 1, maximumKeyAgeDays: 90 },
    };
    assert.deepEqual(problems(all), []);
    const clouds = [
      { version: 1, azure: { vaultName: "vault", keyName: "etcd", keyVersion: "0".repeat(32) } },
      {
        version: 2,
        aws: {
          keyArn: "arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
          encryptionContext: { a: "b" },
        },
      },
    ];
    assert.deepEqual(problems({ keys: clouds }), []);
  });

  const bad: readonly (readonly [string, Properties, RegExp])[] = [
    ["keyVersion 0", { keyVersion: 0 }, /^keyVersion is 0; write a whole number, 1 or greater/],
    [
      "a snapshot directory that is relative",
      { etcdSnapshot: { directory: "snapshots" } },
      /^etcdSnapshot\.directory is no absolute path/,
    ],
    ["a flag that is none", { compactAfterPrune: "yes" }, /^compactAfterPrune is "yes"; write true or false/],
    [
      "retiring the key that encrypts",
      { retireKeyVersions: [2] },
      /^retireKeyVersions\[0\] is 2, the version that encrypts/,
    ],
    [
      "retiring what is not declared",
      { retireKeyVersions: [7] },
      /^retireKeyVersions\[0\] is 7, which is not declared/,
    ],
    [
      "an age without a time",
      { policy: { maximumKeyAgeDays: 30 } },
      /^policy\.maximumKeyAgeDays cannot be kept: .*createdAt/,
    ],
    [
      "too few versions",
      { retireKeyVersions: [1], policy: { minimumKeptVersions: 2 } },
      /^policy\.minimumKeptVersions is 2, but only 1/,
    ],
    [
      "a version that is not declared",
      { keyVersion: 3 },
      /^keyVersion is 3, but keys declares 1, 2; declare version 3 too/,
    ],
    ["no keys", { keys: [] }, /^keys is missing or empty/],
    [
      "a version twice",
      {
        keys: [(good["keys"] as Properties[])[0] as Properties, (good["keys"] as Properties[])[0] as Properties],
        keyVersion: 1,
      },
      /^keys\[1\]\.version repeats 1/,
    ],
    ["a fractional version", { keys: [{ version: 1.5 }] }, /^keys\[0\]\.version is 1\.5/],
    ["a key without a block", { keys: [{ version: 1 }], keyVersion: 1 }, /^keys\[0\] names no key/],
    [
      "a key without key_id",
      { keys: [{ version: 1, local: { file: "/f" } }], keyVersion: 1 },
      /^keys\[0\]\.local\.keyId is missing/,
    ],
    [
      "an Azure key without a version",
      { keys: [{ version: 2, azure: { vaultName: "v", keyName: "k" } }] },
      /^keys\[0\]\.azure\.keyVersion is missing; give the id of one version/,
    ],
    [
      "an alias of an AWS key",
      { keys: [{ version: 2, aws: { keyArn: "arn:aws:kms:eu-west-1:111122223333:alias/etcd" } }] },
      /^keys\[0\]\.aws\.keyArn is the alias arn.*: moving an alias changes the key without a trace/,
    ],
    [
      "two keys in one version",
      { keys: [{ version: 2, local: { file: "/f", keyId: "l" }, aws: { keyArn: "a" } }] },
      /^keys\[0\] names 2 keys \(local, aws\); keep exactly one/,
    ],
    ["no cluster", { local: null }, /^aks is missing: no cluster is named/],
    ["two clusters", { selfManaged: {} }, /^selfManaged is one of 2 blocks that name a cluster \(selfManaged, local\)/],
    ["a cluster of kOps", { kops: {} }, /^kops is for KopsKmsSettings, which KmsEtcdEncryption makes for it/],
    ["a relative path", { local: { controlPlaneFile: "here" } }, /^local\.controlPlaneFile is not an absolute path/],
    ["a stage that is none", { advanceTo: "prune" }, /^advanceTo is "prune"; write one of Plugin, Read, Write/],
    [
      "a limit of 0",
      { limits: { reloadSeconds: 0 } },
      /^limits\.reloadSeconds is 0; write a number of seconds greater than 0/,
    ],
    [
      "a limit nobody knows",
      { limits: { reload: 1 } },
      /^limits\.reload is not an input; the limits are reloadSeconds/,
    ],
    ["a text for enabled", { enabled: "yes" }, /^enabled is "yes"; write true or false/],
    ["no resources", { resources: [] }, /^resources is empty/],
    ["a misspelt input", { keyversion: 1 }, /^keyversion is not an input/],
    ["a plan", { plan: [] }, /^plan is not an input/],
  ];
  for (const [name, changed, message] of bad) {
    it(`${name} => a problem at its property`, () => {
      const found = problems(changed);
      assert.ok(
        found.some((problem) => message.test(problem)),
        found.join("\n"),
      );
    });
  }

  describe("policy", () => {
    const declared = (...versions: number[]) => ({
      keyVersion: Math.max(...versions),
      keys: versions.map((version) => ({
        version,
        createdAt: "2020-01-01T00:00:00Z",
        local: { file: `/keys/v${version}`, keyId: `local-${version}` },
      })),
    });
    const tooOld = /^keyVersion is 3, whose key was made on 2020-01-01/;
    const tooFew = /^policy\.minimumKeptVersions is 3, but only 2/;

    it("null, as languages have it that know no undefined => that rule is not made, and the other one is", () => {
      const inputs = declared(2, 3);
      assert.deepEqual(problems({ ...inputs, policy: { maximumKeyAgeDays: null, minimumKeptVersions: null } }), []);
      const [few = "", ...more] = problems({
        ...inputs,
        policy: { maximumKeyAgeDays: null, minimumKeptVersions: 3 },
      });
      assert.match(few, tooFew);
      assert.deepEqual(more, []);
      const [old = "", ...others] = problems({
        ...inputs,
        policy: { maximumKeyAgeDays: 30, minimumKeptVersions: null },
      });
      assert.match(old, tooOld);
      assert.deepEqual(others, []);
    });

    it("one value that is not known yet => the other one counts all the same", () => {
      const few = problems({ ...declared(2, 3), policy: { maximumKeyAgeDays: unknown, minimumKeptVersions: 3 } });
      assert.match(few.join(), tooFew);
      const old = problems({ ...declared(2, 3), policy: { maximumKeyAgeDays: 30, minimumKeptVersions: unknown } });
      assert.match(old.join(), tooOld);
      const wrong = problems({ policy: { maximumKeyAgeDays: unknown, minimumKeptVersions: 0 } });
      assert.match(wrong.join(), /^policy\.minimumKeptVersions is 0; write a whole number/);
    });

    it("nobody knows yet whether encryption is on, or which keys are declared => what rests on it is not judged", () => {
      assert.deepEqual(problems({ ...declared(2, 3), enabled: unknown, policy: { maximumKeyAgeDays: 30 } }), []);
      const { keys, keyVersion } = declared(1, 3);
      assert.deepEqual(problems({ keyVersion, keys: [...keys, unknown], policy: { minimumKeptVersions: 3 } }), []);
      assert.deepEqual(problems({ ...declared(1, 2), policy: unknown }), []);
    });
  });

  it("what is not known yet => no problem", () => {
    assert.deepEqual(problems({ keyVersion: unknown }), []);
    assert.deepEqual(problems({ keys: unknown }), []);
    assert.deepEqual(problems({ local: unknown }), []);
    assert.deepEqual(problems({ keys: [{ version: 2, local: { file: unknown, keyId: unknown } }] }), []);
    assert.deepEqual(problems({ resources: unknown, enabled: unknown, advanceTo: unknown, limits: unknown }), []);
  });
});
