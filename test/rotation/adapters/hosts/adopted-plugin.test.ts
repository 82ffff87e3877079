import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { pluginInstance } from "../../../../core/plugin-instance";
import { parseEncryptionConfig } from "../../../../rotation/adapters/hosts/encryption-config-file";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import { createHostsFleet, type HostsFleet } from "../../../../rotation/adapters/hosts/hosts-fleet";
import { localHost } from "../../../../rotation/adapters/hosts/local-host";
import { confirmNamedKeys, nameHostKeysByArn, restoreNamedKeys } from "../../../../rotation/adapters/hosts/named-keys";
import { observePlugins } from "../../../../rotation/adapters/hosts/observe-plugins";
import { type PlainPlugin, plainPlugin } from "../grpc/plain-plugin";
import { apiServerManifestText, fleetHost, paths } from "./fleet-host";

const arn = "arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

describe("a plugin of somebody else's on a host", () => {
  let plugin: PlainPlugin;
  let directory: string;

  beforeEach(async () => {
    plugin = await plainPlugin("alias/etcd", 7);
    directory = mkdtempSync(join(tmpdir(), "adopted-"));
    writeFileSync(
      join(directory, "theirs.yaml"),
      `kind: Pod\nmetadata: {name: theirs}\nspec: {containers: [{command: [p, --key=alias/etcd, --region=us-west-2, "--listen=${plugin.socketPath}"]}]}\n`,
    );
  });
  afterEach(async () => {
    await plugin.close();
    rmSync(directory, { recursive: true });
  });

  const at = () => ({
    ...fleetHost(localHost("cp1")),
    manifestDirectory: directory,
    backupDirectory: join(directory, "backups"),
  });

  async function seen(apiVersion: "v1" | "v2") {
    const config = parseEncryptionConfig(
      `{kind: EncryptionConfiguration, resources: [{resources: [secrets], providers: [{kms: {apiVersion: ${apiVersion}, name: theirs, endpoint: "unix://${plugin.socketPath}"}}]}]}`,
    );
    const search = { ...at(), socketDirectory: "/nowhere", configs: [config] };
    const { plugins } = await observePlugins(search, AbortSignal.timeout(20_000));
    const [found, ...others] = plugins;
    assert.ok(found !== undefined && others.length === 0);
    return found;
  }
  /** The socket was made so many seconds after the manifest. */
  const listensAfter = (seconds: number) => {
    const { mtimeMs } = statSync(join(directory, "theirs.yaml"));
    utimesSync(plugin.socketPath, new Date(), new Date(mtimeMs + seconds * 1_000));
  };

  for (const version of ["v1", "v2"] as const) {
    it(`KMS ${version}: its alias is seen; once it has the ARN it is unproven, until a new process has used its key`, async () => {
      const [alias] = (await seen(version)).aliases ?? [];
      assert.deepEqual(alias, { alias: "alias/etcd", region: "us-west-2", arn: undefined });
      await localHost("cp1").makeDirectory(at().backupDirectory);
      await nameHostKeysByArn(at(), "theirs", { "alias/etcd": arn });
      plugin.status = { ...plugin.status, keyId: arn };
      listensAfter(-60);
      const early = await seen(version);
      assert.deepEqual([early.namedByArn, early.problem, early.aliases], ["unproven", undefined, undefined]);
      listensAfter(1);
      plugin.keyRefusal = { code: status.PERMISSION_DENIED, details: "AccessDenied" };
      const denied = await seen(version);
      assert.equal(denied.namedByArn, "unproven");
      assert.match(denied.problem ?? "", /AccessDenied/);
      plugin.keyRefusal = undefined;
      const proven = await seen(version);
      assert.deepEqual([proven.namedByArn, proven.problem], ["proven", undefined]);
      await confirmNamedKeys(at());
      const confirmed = await seen(version);
      assert.deepEqual([confirmed.namedByArn, confirmed.aliases], [undefined, undefined]);
    });
  }

  it("put back => it has its alias again; somebody's edit after the ARN => nothing is to be confirmed or taken back", async () => {
    await localHost("cp1").makeDirectory(at().backupDirectory);
    await nameHostKeysByArn(at(), "theirs", { "alias/etcd": arn });
    await restoreNamedKeys(at());
    assert.equal((await seen("v1")).aliases?.[0]?.alias, "alias/etcd");
    await nameHostKeysByArn(at(), "theirs", { "alias/etcd": arn });
    writeFileSync(join(directory, "theirs.yaml"), "# mine\n", { flag: "a" });
    assert.equal((await seen("v1")).namedByArn, undefined);
  });

  describe("with two keys, as a fleet has it", () => {
    let second: PlainPlugin;
    let hash: string;
    const signal = new AbortController().signal;
    const declared = [pluginInstance({ kind: "aws", keyArn: arn, region: "us-west-2" })];

    beforeEach(async () => {
      second = await plainPlugin("alias/two", 9);
      const sockets = [plugin.socketPath, second.socketPath];
      writeFileSync(
        join(directory, "theirs.yaml"),
        `kind: Pod\nmetadata: {name: theirs}\nspec: {containers: [{command: [p, "--key=alias/etcd,alias/two", --region=us-west-2, "--listen=${sockets.join()}"]}]}\n`,
      );
      const items = sockets.map((path, at) => `{kms: {apiVersion: v2, name: k${at}, endpoint: "unix://${path}"}}`);
      const config = `{kind: EncryptionConfiguration, resources: [{resources: [secrets], providers: [${items.join(", ")}]}]}\n`;
      writeFileSync(join(directory, ".config"), config);
      hash = fileHash(Buffer.from(config));
      const manifest = apiServerManifestText.replace(paths.config, join(directory, ".config"));
      writeFileSync(join(directory, "kube-apiserver.yaml"), manifest);
    });
    afterEach(() => second.close());

    function fleetOf() {
      const asked: string[] = [];
      const arnOf = async (name: string) => {
        asked.push(name);
        return `${arn}-${name.slice("alias/".length)}`;
      };
      const host = { ...at(), encryptionConfigFile: join(directory, ".config") };
      return { asked, fleet: createHostsFleet({ hosts: [host], keyNames: () => ({ arnOf }) }) };
    }
    const plugins = async (fleet: HostsFleet) => (await fleet.observe(signal, declared)).servers[0]?.plugins ?? [];
    const named = async (fleet: HostsFleet) => (await plugins(fleet)).map(({ namedByArn }) => namedByArn);
    const arns = { "alias/etcd": `${arn}-etcd`, "alias/two": `${arn}-two` };

    it("KMS is asked by whoever plans or rotates, and by nobody else; both ARNs come at once", async () => {
      const { asked, fleet } = fleetOf();
      const [looked] = (await fleet.observe(signal)).servers;
      assert.deepEqual([looked?.plugins[0]?.aliases?.[0]?.arn, asked], [undefined, []]);
      const aliases = (await plugins(fleet))[0]?.aliases ?? [];
      assert.deepEqual(Object.fromEntries(aliases.map(({ alias, arn: found }) => [alias, found])), arns);
      await fleet.nameKeysByArn?.("cp1", "theirs", arns);
      assert.match(readFileSync(join(directory, "theirs.yaml"), "utf8"), /"--key=arn:\S+-etcd,arn:\S+-two"/);
      await fleet.close();
    });

    it("proven once both have used their keys, and not taken back by this engine any more; another one may, until it is confirmed", async () => {
      const { fleet } = fleetOf();
      await fleet.nameKeysByArn?.("cp1", "theirs", arns);
      const { mtimeMs } = statSync(join(directory, "theirs.yaml"));
      for (const { socketPath } of [plugin, second]) utimesSync(socketPath, new Date(), new Date(mtimeMs + 1_000));
      second.keyRefusal = { code: status.PERMISSION_DENIED, details: "AccessDenied" };
      assert.deepEqual(await named(fleet), ["unproven", "unproven"]);
      second.keyRefusal = undefined;
      assert.deepEqual(await named(fleet), ["proven", "proven"]);
      second.keyRefusal = { code: status.PERMISSION_DENIED, details: "AccessDenied" };
      assert.deepEqual(await named(fleet), [undefined, undefined]);
      const { fleet: other } = fleetOf();
      assert.deepEqual(await named(other), ["unproven", "unproven"]);
      await fleet.confirmLoaded?.("cp1", hash);
      assert.deepEqual(await named(other), [undefined, undefined]);
      await Promise.all([fleet.close(), other.close()]);
    });
  });
});
