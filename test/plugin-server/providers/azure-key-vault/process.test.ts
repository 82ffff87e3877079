import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { bundleEntry } from "../../../../plugin-server/image/bundle";
import { bundlePlugin } from "../../../../plugin-server/image/bundle-plugin";
import { type KmsClient, kmsClient } from "../../support/kms-client";
import { type AzureHost, startAzureHost } from "./azure-host";
import { peerDecrypt, writtenKeys } from "./kubernetes-kms-values";

const plaintext = Buffer.from("0123456789abcdef0123456789abcdef");

describe("the plugin's process with a key in Azure Key Vault", function () {
  this.timeout(60_000);
  let host: AzureHost;
  let entry: string;
  const children: ChildProcess[] = [];
  const clients: KmsClient[] = [];
  before(async () => {
    host = await startAzureHost();
    const project = join(__dirname, "..", "..", "..", "..");
    const { files } = await bundlePlugin(project, { version: "v1.2.3", commit: "c", date: "" }, "/usr/bin/env node");
    for (const { path, content } of files) {
      await mkdir(dirname(join(host.directory, path)), { recursive: true });
      await writeFile(join(host.directory, path), content);
    }
    entry = join(host.directory, bundleEntry);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    for (const child of children.splice(0)) {
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
  });
  after(() => host.close());

  /** Starts the bundle as a static pod would, with the flags of seed 004. */
  async function start(
    name: string,
    environment: Record<string, string> = {},
  ): Promise<{ client: KmsClient; log: () => string }> {
    const socket = join(host.directory, `${name}.sock`);
    const flags = [
      `--listen-addr=unix://${socket}`,
      "--keyvault-name=myvault",
      "--key-name=mykey",
      `--key-version=${host.key.version}`,
      `--config-file-path=${host.azureJsonFile}`,
      "--healthz-port=none",
      "--metrics-addr=none",
      "-v=5",
    ];
    const { PATH = "" } = process.env;
    const child = spawn(process.execPath, [entry, "azure", ...flags], {
      env: { PATH, ...(await host.azure.processEnvironment(host.directory)), ...environment },
      stdio: ["ignore", "ignore", "pipe"],
    });
    children.push(child);
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    while (!existsSync(socket)) {
      if (child.exitCode !== null) throw new Error(`the plugin has ended: ${log}`);
      await delay(5);
    }
    const client = kmsClient(socket);
    clients.push(client);
    return { client, log: () => log };
  }

  it("serves v1 and v2 as the peer does, through HTTPS_PROXY, over connections that stay open", async () => {
    const { client, log } = await start("a");
    const status = await client.v2.Status({});
    assert.deepEqual({ ...status }, { version: "v2beta1", healthz: "ok", keyId: status.keyId });
    const v2 = await client.v2.Encrypt({ plaintext, uid: "one" });
    assert.equal(v2.keyId, status.keyId);
    const pem = writtenKeys[0]?.privateKeyPem ?? "";
    assert.deepEqual(peerDecrypt("v2", v2.ciphertext, pem), plaintext);
    assert.deepEqual(Buffer.from((await client.v2.Decrypt({ ...v2, uid: "two" })).plaintext), plaintext);
    const v1 = await client.v1.Encrypt({ version: "v1beta1", plain: plaintext });
    assert.deepEqual(peerDecrypt("v1", v1.cipher, pem), plaintext);
    assert.deepEqual(
      Buffer.from((await client.v1.Decrypt({ version: "v1beta1", cipher: v1.cipher })).plain),
      plaintext,
    );
    const opened = host.azure.connections();
    for (let index = 0; index < 10; index += 1) await client.v2.Encrypt({ plaintext, uid: "more" });
    assert.equal(host.azure.connections(), opened);
    assert.equal((await client.v1.Version({ version: "v1beta1" })).runtimeName, "Microsoft AzureKMS");
    for (const secret of [plaintext.toString(), Buffer.from(v2.ciphertext).toString().slice(0, 24), "eyJ"]) {
      assert.ok(!log().includes(secret), "no plaintext, ciphertext or token is logged");
    }
  });

  it("says at its start which vault, key and version it uses, where it listens and as whom, and nothing secret of it", async () => {
    const { tenantId } = host.vault;
    const application = host.azure.entra.addApplication({ tenantId, secret: "kept-to-itself" });
    host.vault.grant(application.objectId, "encrypt", "decrypt");
    const before = await readFile(host.azureJsonFile, "utf8");
    await host.writeAzureJson({ tenantId, aadClientId: application.clientId, aadClientSecret: "kept-to-itself" });
    try {
      const { log } = await start("e");
      while (!log().includes("serving KMS")) await delay(5);
      const line = log()
        .split("\n")
        .find((text) => text.includes("serving KMS v2 and v1"));
      for (const said of [
        `socket="${join(host.directory, "e.sock")}"`,
        'vault="https://myvault.vault.azure.net"',
        'key="mykey"',
        `version="${host.key.version}"`,
        'authentication="client-secret"',
      ]) {
        assert.ok(line?.includes(said), `${said} in ${line}`);
      }
      assert.ok(!log().includes("kept-to-itself"));
    } finally {
      await writeFile(host.azureJsonFile, before);
    }
  });

  it("believes the authorities that SSL_CERT_FILE names, as Go programs do", async () => {
    const { NODE_EXTRA_CA_CERTS: authority = "" } = await host.azure.processEnvironment(host.directory);
    const { client } = await start("d", { NODE_EXTRA_CA_CERTS: "", SSL_CERT_FILE: authority });
    assert.equal((await client.v2.Status({})).healthz, "ok");
  });

  it("takes an identity from App Service's endpoint where the environment names one", async () => {
    const { client } = await start("b", {
      IDENTITY_ENDPOINT: `http://127.0.0.1:${host.azure.plainPort}/msi/token`,
      IDENTITY_HEADER: host.azure.metadata.appServiceSecret,
    });
    assert.equal((await client.v2.Status({})).healthz, "ok");
    assert.ok(host.azure.requests.some((request) => request.path === "/msi/token"));
  });

  it("fails Status with the right code and a reason while the key is disabled, and serves again afterwards", async () => {
    host.key.enabled = false;
    const { client, log } = await start("c");
    const FAILED_PRECONDITION = 9;
    await assert.rejects(client.v2.Status({}), (error: { code: number; details: string }) => {
      assert.equal(error.code, FAILED_PRECONDITION);
      assert.match(error.details, /is disabled .*; enable this version of the key/);
      return true;
    });
    await assert.rejects(client.v1.Encrypt({ version: "v1beta1", plain: plaintext }), { code: FAILED_PRECONDITION });
    host.key.enabled = true;
    assert.equal((await client.v2.Encrypt({ plaintext, uid: "again" })).keyId.length, 64);
    assert.match(log(), /the key can't be used/);
  });
});
