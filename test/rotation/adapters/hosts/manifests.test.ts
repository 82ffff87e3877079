import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import type { KeyReference } from "../../../../core/key-reference";
import { pluginInstance } from "../../../../core/plugin-instance";
import { readCommandLine } from "../../../../plugin-server/config/command-line";
import {
  apiServerFlags,
  isPending,
  isSameProcess,
  restartRequest,
  withRestartRequest,
} from "../../../../rotation/adapters/hosts/api-server-manifest";
import { booleanFlag, flagValue, parseManifest } from "../../../../rotation/adapters/hosts/manifest";
import { pluginArguments } from "../../../../rotation/adapters/hosts/plugin-arguments";
import { isOurPlugin, localPluginManifest, socketOf } from "../../../../rotation/adapters/hosts/plugin-manifest";
import { apiServerManifestText } from "./fleet-host";

function manifest(text: string) {
  const parsed = parseManifest(text);
  assert.ok(parsed);
  return parsed;
}

const withArguments = (...list: string[]) =>
  manifest(JSON.stringify({ kind: "Pod", spec: { containers: [{ command: ["x"], args: list }] } }));

describe("an API server's manifest", () => {
  it("flags are read from command and arguments, in both forms, the last one wins", () => {
    const flags = apiServerFlags(manifest(apiServerManifestText));
    assert.deepEqual(flags, {
      encryptionConfigFile: "/host/encryption/config.yaml",
      automaticReload: true,
      requestTimeout: 15_000,
    });
    assert.equal(flagValue(withArguments("--a=1", "--a", "2"), "a"), "2");
    assert.equal(flagValue(withArguments("--ab=1"), "a"), undefined);
    assert.equal(booleanFlag(withArguments("--a", "--a=false"), "a"), false);
    assert.equal(booleanFlag(withArguments("--a"), "a"), true);
  });

  it("without the flags, Kubernetes' defaults hold", () => {
    assert.deepEqual(apiServerFlags(withArguments()), {
      encryptionConfigFile: undefined,
      automaticReload: false,
      requestTimeout: 60_000,
    });
  });

  it("a restart request is written and read, and the rest of the document stays", () => {
    const request = { hash: "sha256:00", restartOf: 1_700_000_000_123 };
    const text = withRestartRequest(apiServerManifestText, request);
    assert.deepEqual(restartRequest(manifest(text)), request);
    assert.ok(text.includes("# kept") && text.includes("# shorter than the default"));
    assert.deepEqual(restartRequest(manifest(withRestartRequest(text, { hash: "sha256:01", restartOf: undefined }))), {
      hash: "sha256:01",
      restartOf: undefined,
    });
    assert.equal(restartRequest(manifest(apiServerManifestText)), undefined);
  });

  it("a request is pending for the file it was made for, while the process it shall end runs or none answers", () => {
    const request = { hash: "h", restartOf: 1_000_000 };
    assert.equal(isPending(request, "h", 1_000_900), true);
    assert.equal(isPending(request, "h", undefined), true);
    assert.equal(isPending(request, "h", 1_004_000), false);
    assert.equal(isPending(request, "other", 1_000_000), false);
    assert.equal(isPending({ hash: "h", restartOf: undefined }, "h", 1_000_000), false);
    assert.equal(isSameProcess(1_000, 3_000), true);
    assert.equal(isSameProcess(1_000, 3_001), false);
  });

  it("what is no Pod is refused", () => {
    assert.throws(() => withRestartRequest("kind: Service", { hash: "h", restartOf: 1 }), KmsEtcdError);
    assert.equal(parseManifest("kind: ["), undefined);
  });
});

describe("a plugin's manifest", () => {
  const plugin = pluginInstance({ kind: "local", file: "/keys/1", keyId: "local-1" });
  const host = { pluginSocketDirectory: "/run/cp1", pluginCommand: ["node", "/x/main.js"] };

  it("names the command, the key file and the socket, and is found again by its label", () => {
    const read = manifest(localPluginManifest(plugin, host));
    assert.equal(read.name, plugin.name);
    assert.deepEqual(read.arguments, [
      "node",
      "/x/main.js",
      "local",
      "--key-file=/keys/1",
      `--listen-addr=unix:///run/cp1/${plugin.socketFile}`,
      "--healthz-port=0",
    ]);
    assert.equal(isOurPlugin(read), true);
    assert.equal(socketOf(read), `/run/cp1/${plugin.socketFile}`);
    assert.deepEqual(read.labels, { tier: "control-plane", component: "kms-etcd-plugin" });
  });

  it("the same plugin gives the same text on every call", () => {
    assert.equal(localPluginManifest(plugin, host), localPluginManifest(pluginInstance(plugin.key), { ...host }));
  });

  it("a socket path that no socket can have => invalid-input, naming it", () => {
    const deep = `/${"d".repeat(90)}`;
    assert.throws(
      () => localPluginManifest(plugin, { ...host, pluginSocketDirectory: deep }),
      (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes(deep),
    );
  });

  it("a key in a cloud => the flags that name it, then the host's own, and the host's environment", () => {
    const vault = pluginInstance({ kind: "azure", vaultName: "v", keyName: "k", keyVersion: "1", managedHsm: true });
    const cloud = pluginInstance({
      kind: "aws",
      keyArn: "arn:aws:kms:eu-west-1:1:key/2",
      region: "eu-west-1",
      encryptionContext: { cluster: "a", use: "etcd" },
    });
    const pluginSettings = {
      azure: { arguments: ["--config-file-path=/a.json"], environment: { HTTPS_PROXY: "http://proxy:1" } },
      aws: { arguments: ["--kms-endpoint=http://127.0.0.1:9"] },
    };
    const azure = localPluginManifest(vault, { ...host, pluginSettings });
    const socket = (file: string) => `/run/cp1/${file}`;
    assert.deepEqual(manifest(azure).arguments.slice(2), [
      "azure",
      "--keyvault-name=v",
      "--key-name=k",
      "--key-version=1",
      "--managed-hsm=true",
      `--listen-addr=unix://${socket(vault.socketFile)}`,
      "--healthz-port=0",
      "--metrics-addr=0",
      "--config-file-path=/a.json",
    ]);
    assert.match(azure, /env:\n\s+- name: HTTPS_PROXY\n\s+value: http:\/\/proxy:1\n/);
    const aws = localPluginManifest(cloud, { ...host, pluginSettings });
    assert.deepEqual(manifest(aws).arguments.slice(2), [
      "aws",
      "--key=arn:aws:kms:eu-west-1:1:key/2",
      "--region=eu-west-1",
      "--encryption-context=cluster=a,use=etcd",
      `--listen=${socket(cloud.socketFile)}`,
      "--health-port=:0",
      "--kms-endpoint=http://127.0.0.1:9",
    ]);
    assert.doesNotMatch(aws, /env:|config-file-path/);
    assert.equal(socketOf(manifest(aws)), socket(cloud.socketFile));
  });

  it("the plugin itself takes these arguments, without a word", () => {
    const keys: readonly KeyReference[] = [
      { kind: "local", file: "/keys/1", keyId: "local-1" },
      { kind: "azure", vaultName: "vault", keyName: "k", keyVersion: "1", managedHsm: true },
      { kind: "aws", keyArn: "arn:aws:kms:eu-west-1:1:key/2", region: "eu-west-1", encryptionContext: { a: "b=c" } },
    ];
    for (const key of keys) {
      const read = readCommandLine(pluginArguments(key, "/run/kms.socket"));
      assert.ok(read.kind === "run");
      assert.deepEqual(read.warnings, []);
      const { operation } = read.config;
      assert.deepEqual([operation.sockets, operation.health], [["/run/kms.socket"], undefined]);
      if (read.config.kind === "aws") assert.deepEqual(read.config.keys[0]?.encryptionContext, { a: "b=c" });
    }
  });

  it("an encryption context that the flag cannot express => invalid-input, naming its entry", () => {
    const key = { kind: "aws", keyArn: "arn:aws:kms:eu-west-1:1:key/2", region: "eu-west-1" } as const;
    for (const encryptionContext of [{ owner: "a,b" }, { "own,er": "a" }, { "owner=": "a" }] as const) {
      assert.throws(
        () => pluginArguments({ ...key, encryptionContext }, "/run/kms.socket"),
        (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes("own"),
      );
    }
  });
});
