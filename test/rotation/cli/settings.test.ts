import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatLocalKeyFile, localKeyId } from "../../../core/local-key-file";
import { readSettings, type SettingsFlags } from "../../../rotation/cli/settings";
import { UsageError } from "../../../rotation/cli/usage-error";
import { defaultLimits } from "../../../rotation/goal";

describe("the settings of kms-etcd", () => {
  let directory: string;
  const keyOf = (version: number) => Buffer.alloc(32, version);
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-settings-"));
    mkdirSync(join(directory, "keys"));
    for (const version of [1, 2]) {
      writeFileSync(join(directory, "keys", `v${version}.key`), formatLocalKeyFile(keyOf(version)), { mode: 0o600 });
    }
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const key = (version: number) => join(directory, "keys", `v${version}.key`);
  const config = (yaml: string): string => {
    const file = join(directory, "kms-etcd.yaml");
    writeFileSync(file, yaml);
    return file;
  };
  const problems = async (flags: SettingsFlags): Promise<readonly string[]> => {
    try {
      await readSettings(flags);
    } catch (thrown) {
      assert.ok(thrown instanceof UsageError, String(thrown));
      return thrown.violations.map(({ path, reason }) => `${path} ${reason}`.replaceAll(directory, "DIR"));
    }
    return assert.fail("nothing was wrong");
  };

  it("a file => platform, keys oldest first, limits; paths start where the file is", async () => {
    const settings = await readSettings({
      config: config(`
local: { controlPlaneFile: cp/control-plane.json }
keys:
  - version: 2
    local: { file: keys/v2.key }
  - version: 1
    local: { file: keys/v1.key, keyId: ${localKeyId(keyOf(1))} }
resources: [secrets, configmaps]
allowPlaintextReads: true
limits: { reloadSeconds: 300 }
`),
    });
    assert.equal(settings.platform.description, `control plane ${join(directory, "cp/control-plane.json")}`);
    assert.deepEqual(
      settings.keys.map(({ version, plugin }) => [version, plugin.key]),
      [1, 2].map((version) => [version, { kind: "local", file: key(version), keyId: localKeyId(keyOf(version)) }]),
    );
    assert.deepEqual(settings.resources, ["secrets", "configmaps"]);
    assert.equal(settings.allowPlaintextReads, true);
    assert.deepEqual(settings.limits, { ...defaultLimits, reload: 300_000 });
  });

  it("flags => the same, with nothing said of resources", async () => {
    const { keys, resources, limits } = await readSettings({
      controlPlane: join(directory, "cp.json"),
      key: [`2=${key(2)}`, `1=${key(1)}`],
    });
    assert.deepEqual(
      keys.map(({ version }) => version),
      [1, 2],
    );
    assert.deepEqual([resources, limits], [undefined, defaultLimits]);
  });

  it("a key file that is on the hosts only => its keyId is enough; without one it is asked for", async () => {
    const yaml = (keyId: string) => `local: { controlPlaneFile: x }
keys: [{ version: 1, local: { file: /only/on/hosts.key${keyId} } }]`;
    const { keys } = await readSettings({ config: config(yaml(", keyId: local-ab")) });
    assert.deepEqual(keys[0]?.plugin.key, { kind: "local", file: "/only/on/hosts.key", keyId: "local-ab" });
    assert.deepEqual(await problems({ config: config(yaml("")) }), [
      "keys[0].local.file names /only/on/hosts.key, which cannot be read (ENOENT); name a key file, or give keyId",
    ]);
  });

  it("keys in clouds => named as in a Pulumi program, with the defaults; no file and no secret is needed", async () => {
    const arn = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
    const version = "5cdf48ea6bb9456ebf637e1130b7751a";
    const { keys } = await readSettings({
      config: config(`
local: { controlPlaneFile: x }
keys:
  - version: 1
    azure: { vaultName: k8skv, keyName: k8s, keyVersion: ${version} }
  - version: 2
    aws: { keyArn: "${arn}", encryptionContext: { cluster: a } }
  - version: 3
    local: { file: keys/v1.key }
`),
    });
    assert.deepEqual(
      keys.map(({ plugin }) => plugin.key),
      [
        { kind: "azure", vaultName: "k8skv", keyName: "k8s", keyVersion: version },
        { kind: "aws", keyArn: arn, region: "eu-west-1", encryptionContext: { cluster: "a" } },
        { kind: "local", file: key(1), keyId: localKeyId(keyOf(1)) },
      ],
    );
  });

  it("a cloud's key that can be no key => each mistake at its place", async () => {
    const found = await problems({
      config: config(`
local: { controlPlaneFile: x }
keys:
  - version: 1
    azure: { vaultName: https://v.vault.azure.net, keyName: k, keyVersion: latest, keyversion: x }
  - version: 2
    aws: { keyArn: "arn:aws:kms:eu-west-1:111122223333:alias/etcd" }
  - version: 3
    azure: { vaultName: kv1 }
    aws: {}
  - version: 4
    aws: nothing
`),
    });
    assert.deepEqual(
      found.map((problem) => problem.split(";")[0]?.replace(/, the inputs.*| the alias .*/, "")),
      [
        "keys[0].azure.keyversion is not an input",
        'keys[0].azure.vaultName is "https://v.vault.azure.net"',
        'keys[0].azure.keyVersion is "latest"',
        "keys[1].aws.keyArn is",
        "keys[2] names azure, aws",
        "keys[3].aws is not an object",
      ],
    );
  });

  it("a local key with hosts over SSH => refused as by the Pulumi provider: they do not have its file", async () => {
    const found = await problems({ config: config("selfManaged: {}"), key: [`1=${key(1)}`] });
    assert.ok(
      found.some((problem) =>
        problem.startsWith("--key 1.local is a key in a file of this machine, which the hosts of selfManaged do not"),
      ),
      found.join("\n"),
    );
  });

  it("a file with many mistakes => all of them at once, each at its place", async () => {
    writeFileSync(join(directory, "keys", "bad.key"), "c2VjcmV0\n");
    const found = await problems({
      config: config(`
locale: {}
local: { controlPlaneFile: "", port: 1 }
keys:
  - version: 0
    local: { file: keys/v1.key }
  - version: 2
    local: { file: keys/bad.key }
  - version: 2
    awsKms: {}
  - version: 4
    local: { file: keys/v2.key, keyId: local-other }
  - version: 5
    local: { file: keys/v1.key }
  - nothing
resources: [secrets, "Se crets"]
allowPlaintextReads: perhaps
limits: { reloadSeconds: 0, patience: 3 }
`),
    });
    assert.deepEqual(found.map((problem) => problem.split(/ is | cannot | names | repeats /)[0]).sort(), [
      "allowPlaintextReads",
      "keys[0].version",
      "keys[1].local.file",
      "keys[2]",
      "keys[2]",
      "keys[3].local.keyId",
      "keys[4]",
      "keys[5]",
      "limits.patience",
      "limits.reloadSeconds",
      "local.port",
      "locale",
      "resources[1]",
    ]);
    const text = found.join("\n");
    assert.match(text, /keys\[4\] is the same key as version 0/);
    assert.match(text, /keys\[2\] names awsKms; name one of local, azure, aws$/m);
    assert.match(text, /keys\[2\] repeats version 2/);
    assert.doesNotMatch(text, /c2VjcmV0/, "what stands in a key file is never shown");
  });

  it("no cluster, a form that is no key, resources twice => said with the flag's name", async () => {
    assert.deepEqual(
      await problems({ key: [key(1), `1=${join(directory, "none")}`], resource: ["secrets", "secrets"] }),
      [
        "local, selfManaged is missing: no cluster is named; give --control-plane FILE or --config FILE",
        '--key is "DIR/keys/v1.key"; write VERSION=FILE, for example 1=v1.key',
        "--key 1.file names DIR/none, which cannot be read (ENOENT); name a key file, or give keyId",
        '--resource[1] repeats "secrets"; name each resource once',
      ],
    );
  });

  it("an input in the file and as a flag => which one is meant is asked", async () => {
    const file = config("local: { controlPlaneFile: x }\nkeys: []\nresources: [secrets]");
    const found = await problems({
      config: file,
      controlPlane: "y",
      key: [`1=${key(1)}`],
      resource: ["secrets"],
      allowPlaintextReads: true,
    });
    assert.deepEqual(found, [
      "--control-plane is given, and local in the configuration file; keep one",
      "--key is given, and keys in the configuration file; keep one",
      "--resource is given, and resources in the configuration file; keep one",
    ]);
  });

  it("no file, no YAML, no object => said with its name and line", async () => {
    const missing = join(directory, "none.yaml");
    assert.match(
      (await problems({ config: missing }))[0] ?? "",
      /--config names DIR\/none\.yaml, which cannot be read/,
    );
    assert.match((await problems({ config: config("local:\n  a: [") }))[0] ?? "", /kms-etcd\.yaml line 2 is not YAML/);
    assert.match((await problems({ config: config("- secrets") }))[0] ?? "", /kms-etcd\.yaml is no object/);
  });
});
