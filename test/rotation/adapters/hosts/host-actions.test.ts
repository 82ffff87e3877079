import assert from "node:assert/strict";
import fc from "fast-check";
import type { EncryptionConfiguration } from "../../../../core/encryption-configuration";
import { KmsEtcdError } from "../../../../core/errors";
import { pluginInstance } from "../../../../core/plugin-instance";
import { parseEncryptionConfig } from "../../../../rotation/adapters/hosts/encryption-config-file";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import type { FleetHost } from "../../../../rotation/adapters/hosts/fleet-host";
import {
  requestRestart,
  restoreHostConfig,
  startHostPlugin,
  stopHostPlugin,
  writeHostConfig,
} from "../../../../rotation/adapters/hosts/host-actions";
import { withHostLock } from "../../../../rotation/adapters/hosts/host-lock";
import { nameHostKeysByArn, restoreNamedKeys } from "../../../../rotation/adapters/hosts/named-keys";
import { observePlugins } from "../../../../rotation/adapters/hosts/observe-plugins";
import { sealManifest } from "../../../../rotation/adapters/hosts/sealed-manifest";
import { apiServerManifestText, fleetHost, paths } from "./fleet-host";
import {
  Killed,
  type KillMode,
  lockIdentity,
  type MemoryDisk,
  memoryDisk,
  memoryHost,
  put,
  textOf,
} from "./memory-host";

const before =
  "resources:\n  - resources: [secrets]\n    providers:\n      - identity: {}\nkind: EncryptionConfiguration\napiVersion: apiserver.config.k8s.io/v1\n";
const loaded = before.replace("[secrets]", "[secrets, configmaps]");
const wanted: EncryptionConfiguration = {
  blocks: [
    {
      resources: ["secrets"],
      providers: [
        { kind: "kms", apiVersion: "v2", name: "k1", endpoint: "unix:///host/run/k1.socket", timeout: "3s" },
        { kind: "identity" },
      ],
    },
  ],
};
const hash = (text: string) => fileHash(Buffer.from(text));
const backupOf = (text: string) => `${paths.backups}/${hash(text).slice("sha256:".length)}.yaml`;
const plugin = pluginInstance({ kind: "local", file: "/keys/1", keyId: "local-1" });
const pluginFile = `${paths.manifests}/${plugin.name}.yaml`;

const keyArn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const theirs = (name: string, key: string) =>
  `# by hand\nkind: Pod\nmetadata: {name: ${name}}\nspec:\n  containers:\n    - command: [/aws-encryption-provider, "--key=${key}", --region=us-west-2] # the key\n`;
/** The one that an engine gave its ARN, which was then killed. */
const named = { fileName: "named.yaml", before: theirs("named", "alias/etcd"), after: theirs("named", keyArn) };

type Action = (at: FleetHost) => Promise<void>;

const actions: Readonly<Record<string, Action>> = {
  "write a configuration": (at) => writeHostConfig(at, hash(before), wanted),
  "put the loaded configuration back": (at) => restoreHostConfig(at, hash(before), hash(loaded)),
  "start a plugin": (at) => startHostPlugin(at, plugin),
  "stop a plugin": (at) => stopHostPlugin(at, "kms-etcd-old"),
  "name a plugin's key by its ARN": (at) => nameHostKeysByArn(at, "theirs", { "alias/etcd": keyArn }),
  "put a plugin's alias back": (at) => restoreNamedKeys(at),
  "ask for a restart": (at) => requestRestart(at, 1_700_000_000_000),
};

function freshDisk(): MemoryDisk {
  const old = `kind: Pod\nmetadata:\n  name: kms-etcd-old\n  labels: {component: kms-etcd-plugin}\n`;
  const disk = memoryDisk({
    [paths.config]: before,
    [paths.apiServer]: apiServerManifestText,
    [`${paths.manifests}/old.yaml`]: old,
    [`${paths.manifests}/theirs.yaml`]: theirs("theirs", "alias/etcd"),
    [`${paths.manifests}/${named.fileName}`]: named.after,
    [`${paths.backups}/named-keys.json`]: `${JSON.stringify({ fileName: named.fileName, written: hash(named.after), replaced: hash(named.before) })}\n`,
  });
  put(disk, backupOf(named.before), Buffer.from(named.before), 0o600);
  put(disk, backupOf(loaded), Buffer.from(loaded), 0o600);
  return disk;
}

function locked(
  host: ReturnType<typeof memoryHost>,
  action: Action,
  engine = 1,
  dead = new Set<number>(),
): Promise<void> {
  const at = fleetHost(host);
  return withHostLock(host, at.backupDirectory, () => action(at), {
    identity: lockIdentity(engine, dead),
    patience: 2_000,
  });
}

const contents = (disk: MemoryDisk): Record<string, string> =>
  Object.fromEntries([...disk.files].map(([path, file]): [string, string] => [path, file.bytes.toString()]));

describe("an action on a host", function () {
  this.timeout(30_000); // other work may share the machine
  for (const [name, action] of Object.entries(actions)) {
    it(`${name}: killed at any step, every file is whole, and doing it again gives what no kill would have given`, async () => {
      const undisturbed = freshDisk();
      const counter = memoryHost(undisturbed);
      await locked(counter, action);
      const expected = contents(undisturbed);
      assert.ok(counter.steps() >= 4, "there are steps to be killed at");
      const original = contents(freshDisk());
      for (let step = 0; step < counter.steps(); step++) {
        for (const mode of ["before", "middle", "after"] satisfies KillMode[]) {
          const disk = freshDisk();
          await assert.rejects(locked(memoryHost(disk, { step, mode }), action), Killed);
          for (const [path, text] of Object.entries(contents(disk))) {
            if (path.includes("/.kms-etcd-")) continue;
            assert.ok(
              text === original[path] || text === expected[path],
              `${path} after a kill ${mode} step ${step}: ${text}`,
            );
          }
          if (name.includes("configuration") && textOf(disk, paths.config) !== before) {
            assert.equal(textOf(disk, backupOf(before)), before, "what was replaced is kept");
          }
          // The killed engine's lock must not stand in the way of the next one.
          await locked(memoryHost(disk), action, 2, new Set([1]));
          assert.deepEqual(contents(disk), expected, `after a kill ${mode} step ${step}`);
        }
      }
    });

    it(`${name}: done again, it changes no file`, async () => {
      const disk = freshDisk();
      await locked(memoryHost(disk), action);
      const files = new Map(disk.files);
      await locked(memoryHost(disk), action);
      for (const [path, file] of files) assert.equal(disk.files.get(path), file, `${path} is the same file`);
    });
  }

  it("two engines at once, in any interleaving, never both replace the file that one of them observed", async () => {
    const other: EncryptionConfiguration = {
      blocks: [
        { resources: ["secrets"], providers: [{ kind: "secretbox", keys: [{ name: "a", secret: "c2VjcmV0" }] }] },
      ],
    };
    await fc.assert(
      fc.asyncProperty(fc.infiniteStream(fc.nat(4)), async (stream) => {
        const disk = freshDisk();
        const turns = stream[Symbol.iterator]();
        const turn = async () => {
          for (let wait = Number(turns.next().value); wait > 0; wait--)
            await new Promise((resolve) => setImmediate(resolve));
        };
        const results = await Promise.allSettled(
          [wanted, other].map((config, index) =>
            locked(memoryHost(disk, undefined, turn), (at) => writeHostConfig(at, hash(before), config), index + 1),
          ),
        );
        const won = results.flatMap((result, index) => (result.status === "fulfilled" ? index : []));
        assert.equal(won.length, 1, JSON.stringify(results));
        const loser = results.find((result) => result.status === "rejected");
        assert.ok(loser?.reason instanceof KmsEtcdError && loser.reason.code === "conflict");
        assert.deepEqual(parseEncryptionConfig(textOf(disk, paths.config) ?? ""), won[0] === 0 ? wanted : other);
        assert.deepEqual(
          [...disk.files.keys()].filter((path) => path.includes("/.kms-etcd-")),
          [],
        );
      }),
      { numRuns: 60 },
    );
  });

  it("a file that someone else changed => conflict that names the host and both hashes, and the file stays", async () => {
    const disk = freshDisk();
    const theirs = before.replace("identity: {}", "secretbox: {keys: [{name: x, secret: eA==}]}");
    put(disk, paths.config, Buffer.from(theirs), 0o600);
    await assert.rejects(
      locked(memoryHost(disk), (at) => writeHostConfig(at, hash(before), wanted)),
      (error: KmsEtcdError) => {
        assert.equal(error.code, "conflict");
        assert.match(error.message, /^cp1: \/host\/encryption\/config\.yaml/);
        assert.ok(error.message.includes(hash(before)) && error.message.includes(hash(theirs)));
        assert.match(error.remedy ?? "", /someone else changed it/);
        return true;
      },
    );
    assert.equal(textOf(disk, paths.config), theirs);
  });

  it("a file that appeared where none was expected => conflict", async () => {
    await assert.rejects(
      locked(memoryHost(freshDisk()), (at) => writeHostConfig(at, undefined, wanted)),
      (error: KmsEtcdError) => error.code === "conflict" && error.message.includes("expected no file"),
    );
  });

  it("no file yet => the new one is made, 0600", async () => {
    const disk = freshDisk();
    disk.files.delete(paths.config);
    await locked(memoryHost(disk), (at) => writeHostConfig(at, undefined, wanted));
    assert.deepEqual(parseEncryptionConfig(textOf(disk, paths.config) ?? ""), wanted);
    assert.equal(disk.files.get(paths.config)?.mode, 0o600);
  });

  it("a world-readable configuration is replaced => others lose their rights, the group keeps its", async () => {
    const disk = freshDisk();
    put(disk, paths.config, Buffer.from(before), 0o644);
    await locked(memoryHost(disk), (at) => writeHostConfig(at, hash(before), wanted));
    assert.equal(disk.files.get(paths.config)?.mode, 0o640);
    assert.equal(disk.files.get(backupOf(before))?.mode, 0o600);
  });

  it("no backup of the loaded configuration => not-found, and the file stays", async () => {
    const disk = freshDisk();
    disk.files.delete(backupOf(loaded));
    await assert.rejects(
      locked(memoryHost(disk), actions["put the loaded configuration back"] as Action),
      (error: KmsEtcdError) => error.code === "not-found",
    );
    assert.equal(textOf(disk, paths.config), before);
  });

  it("a damaged backup is not put back", async () => {
    const disk = freshDisk();
    put(disk, backupOf(loaded), Buffer.from(loaded.slice(0, 40)), 0o600);
    await assert.rejects(
      locked(memoryHost(disk), actions["put the loaded configuration back"] as Action),
      (error: KmsEtcdError) => error.code === "not-found",
    );
  });

  it("a plugin that is not ours is not stopped, whatever its name", async () => {
    const disk = freshDisk();
    put(disk, `${paths.manifests}/other.yaml`, Buffer.from("kind: Pod\nmetadata: {name: kms-etcd-old}\n"), 0o600);
    await locked(memoryHost(disk), actions["stop a plugin"] as Action);
    assert.ok(disk.files.has(`${paths.manifests}/other.yaml`));
    assert.ok(!disk.files.has(`${paths.manifests}/old.yaml`));
  });

  it("a plugin's manifest that an earlier version of the engine wrote gets the new one, and a copy of it is kept", async () => {
    const disk = freshDisk();
    const former = sealManifest("kind: Pod\nmetadata: {name: x}\n");
    put(disk, pluginFile, Buffer.from(former), 0o600);
    await locked(memoryHost(disk), actions["start a plugin"] as Action);
    assert.equal(textOf(disk, backupOf(former)), former);
    assert.match(textOf(disk, pluginFile) ?? "", /--listen-addr=unix:\/\/\/host\/run\//);
  });

  it("a plugin's manifest that is somebody else's, or was edited, is not overwritten, and it is said where it differs", async () => {
    const disk = freshDisk();
    await locked(memoryHost(disk), actions["start a plugin"] as Action);
    const edited = (textOf(disk, pluginFile) ?? "").replace("kube-system", "my-own");
    for (const [text, difference] of [
      [edited, /differs in metadata\.namespace$/],
      ["kind: Pod\nmetadata: {name: x}\n", /differs in metadata\.name, /],
      ["no: [yaml", /differs in the whole file, which is not YAML$/],
    ] as const) {
      put(disk, pluginFile, Buffer.from(text), 0o600);
      await assert.rejects(locked(memoryHost(disk), actions["start a plugin"] as Action), (error: KmsEtcdError) => {
        assert.equal(error.code, "blocked");
        assert.match(error.message, difference);
        assert.match(error.remedy ?? "", /take the edit back/);
        return true;
      });
      assert.equal(textOf(disk, pluginFile), text);
    }
  });

  it("a plugin with other settings than are wanted is seen to have them, until it is started with those; an edited one is theirs", async () => {
    const disk = freshDisk();
    await locked(memoryHost(disk), actions["start a plugin"] as Action);
    const at = fleetHost(memoryHost(disk));
    const changed: FleetHost = {
      ...at,
      pluginManifest: (wanted, present) => at.pluginManifest(wanted, present).replace("plugin.js", "plugin-2.js"),
    };
    const outdated = async (host: FleetHost) => {
      const search = { ...host, socketDirectory: paths.sockets, configs: [], declared: [plugin] };
      const { plugins } = await observePlugins(search, AbortSignal.timeout(5_000));
      return plugins.find(({ name }) => name === plugin.name)?.outdated;
    };
    assert.equal(await outdated(at), undefined);
    assert.deepEqual(await outdated(changed), { differences: ["spec.containers[0].command[1]"], isEdited: false });
    await startHostPlugin(changed, plugin);
    assert.equal(await outdated(changed), undefined);
    assert.match(textOf(disk, pluginFile) ?? "", /plugin-2\.js/);
    put(disk, pluginFile, Buffer.from((textOf(disk, pluginFile) ?? "").replace("plugin-2.js", "mine.js")), 0o600);
    assert.deepEqual(await outdated(changed), { differences: ["spec.containers[0].command[1]"], isEdited: true });
  });

  it("an ARN takes an alias's place, with nothing else changed and a copy kept; put back, it is what it was; nobody else's edit is overwritten", async () => {
    const disk = freshDisk();
    const file = `${paths.manifests}/theirs.yaml`;
    const alias = theirs("theirs", "alias/etcd");
    await locked(memoryHost(disk), actions["name a plugin's key by its ARN"] as Action);
    assert.equal(textOf(disk, file), theirs("theirs", keyArn));
    assert.equal(textOf(disk, backupOf(alias)), alias);
    const edited = `${textOf(disk, file) ?? ""}# mine\n`;
    put(disk, file, Buffer.from(edited), 0o600);
    const conflict = (error: KmsEtcdError) => error.code === "conflict" && error.message.includes(file);
    await assert.rejects(locked(memoryHost(disk), actions["put a plugin's alias back"] as Action), conflict);
    assert.equal(textOf(disk, file), edited);
    put(disk, file, Buffer.from(theirs("theirs", keyArn)), 0o600);
    await locked(memoryHost(disk), actions["put a plugin's alias back"] as Action);
    assert.equal(textOf(disk, file), alias);
    assert.equal(textOf(disk, `${paths.backups}/named-keys.json`), undefined);
  });

  it("an alias that can't be edited => blocked, with the ARN to write; the file stays", async () => {
    const disk = freshDisk();
    const folded = theirs("theirs", "alias/etcd").replace('"--key=alias/etcd"', '"--key=alias\\/etcd"');
    put(disk, `${paths.manifests}/theirs.yaml`, Buffer.from(folded), 0o600);
    const refusal = (error: KmsEtcdError) => error.code === "blocked" && error.remedy?.includes(keyArn) === true;
    await assert.rejects(locked(memoryHost(disk), actions["name a plugin's key by its ARN"] as Action), refusal);
    assert.equal(textOf(disk, `${paths.manifests}/theirs.yaml`), folded);
  });

  it("a manifest that is the same in another form is the same", async () => {
    const disk = freshDisk();
    await locked(memoryHost(disk), actions["start a plugin"] as Action);
    const commented = `# mine\n${textOf(disk, pluginFile) ?? ""}`;
    put(disk, pluginFile, Buffer.from(commented), 0o600);
    await locked(memoryHost(disk), actions["start a plugin"] as Action);
    assert.equal(textOf(disk, pluginFile), commented);
  });

  describe("asking for a restart", () => {
    const start = 1_700_000_000_000;
    const asked = async (disk: MemoryDisk, runningSince: number | undefined) => {
      await locked(memoryHost(disk), (at) => requestRestart(at, runningSince));
      return textOf(disk, paths.apiServer) ?? "";
    };

    it("twice while the same process runs => one restart, also when its start wavers by a second", async () => {
      const disk = freshDisk();
      const first = await asked(disk, start);
      assert.ok(first.includes(hash(before)) && first.includes("# kept"));
      assert.equal(await asked(disk, start + 1_000), first);
      assert.equal(await asked(disk, undefined), first, "while it does not answer it is being restarted");
    });

    it("the manifest as somebody else has left it is kept; one that differs in the engine's own notes alone is not", async () => {
      const disk = freshDisk();
      const first = await asked(disk, start);
      assert.equal(textOf(disk, backupOf(apiServerManifestText)), apiServerManifestText);
      assert.notEqual(await asked(disk, start + 60_000), first);
      assert.equal(disk.files.has(backupOf(first)), false);
    });

    it("again after the process has changed => another restart, for the same configuration", async () => {
      const disk = freshDisk();
      const first = await asked(disk, start);
      assert.notEqual(await asked(disk, start + 60_000), first);
    });

    it("again for another configuration => another restart, even if the server does not answer", async () => {
      const disk = freshDisk();
      const first = await asked(disk, start);
      put(disk, paths.config, Buffer.from(loaded), 0o600);
      const second = await asked(disk, undefined);
      assert.notEqual(second, first);
      assert.ok(second.includes(hash(loaded)));
    });
  });
});
