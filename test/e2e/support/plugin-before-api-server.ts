/** The plugin as real API servers use it, KMS v2 and v1 at once on one socket; the same for each version of Kubernetes. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { startControlPlane } from "../../../control-plane/start-control-plane";
import { cleanControlPlane } from "../../../control-plane/stop-control-plane";
import type { TlsClientFiles } from "../../../core/local-control-plane";
import { localKeyId, parseLocalKeyFile } from "../../../core/local-key-file";
import { readStoredValue } from "../../../core/stored-value";
import { type PluginProcess, useWorkshop } from "../../plugin-server/support/plugin-process";

export interface ApiServerSubject {
  /** @default the newest */
  readonly apiServerBinary?: () => Promise<string>;
  /** Runs the plugin in another way than as a child; it has to reach these directories. */
  readonly start?: (args: readonly string[], directories: readonly string[], keyFile: string) => PluginProcess;
}

export function pluginBeforeApiServer(title: string, { apiServerBinary, start }: ApiServerSubject = {}): void {
  describe(title, function () {
    this.timeout(300_000);
    const workshop = useWorkshop({ endAfterEach: false });
    let directory: string;
    let socket: string;
    let plugin: PluginProcess;
    let api: Pool;
    let etcd: Pool;

    before(async () => {
      directory = mkdtempSync(join(tmpdir(), "ke-"));
      socket = join(directory, "kms.sock");
      plugin = startPlugin();
      const controlPlane = await startControlPlane({
        stateDirectory: join(directory, "cp"),
        hosts: 1,
        unsafeNoFsync: true,
        apiServerArguments: ["--feature-gates=KMSv1=true"],
        initialEncryptionConfig: encryptionConfig(socket),
        ...(apiServerBinary === undefined ? {} : { apiServerBinary: await apiServerBinary() }),
      });
      const [host] = controlPlane.hosts;
      assert.ok(host);
      api = new Pool(host.apiServerUrl, { connect: tls(host.client) });
      etcd = new Pool(controlPlane.etcd.endpoints[0] ?? "", { connect: tls(controlPlane.etcd.client) });
    });
    after(async () => {
      await Promise.all([api.destroy(), etcd.destroy()]);
      await cleanControlPlane(join(directory, "cp"));
      rmSync(directory, { recursive: true });
    });

    const startPlugin = () => {
      const args = [
        "local",
        `--key-file=${workshop.keyFile}`,
        `--listen-addr=unix://${socket}`,
        "--probe-interval=1s",
        "-v=4",
      ];
      return start === undefined
        ? workshop.start(...args)
        : start(args, [workshop.directory, directory], workshop.keyFile);
    };

    async function ask(
      method: "GET" | "POST",
      path: string,
      body?: unknown,
    ): Promise<{ readonly status: number; readonly text: string }> {
      const answer = await api.request({
        method,
        path,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    }

    async function write(resource: "secrets" | "configmaps", name: string, word: string): Promise<void> {
      const data = resource === "secrets" ? Buffer.from(word).toString("base64") : word;
      const { status, text } = await ask("POST", `/api/v1/namespaces/default/${resource}`, {
        metadata: { name },
        data: { word: data },
      });
      assert.equal(status, 201, text);
    }

    /** From etcd: a GET without resourceVersion does not come from a cache. */
    async function read(resource: "secrets" | "configmaps", name: string): Promise<string> {
      const { status, text } = await ask("GET", `/api/v1/namespaces/default/${resource}/${name}`);
      assert.equal(status, 200, text);
      const { word } = (JSON.parse(text) as { data: { word: string } }).data;
      return resource === "secrets" ? Buffer.from(word, "base64").toString() : word;
    }

    async function stored(resource: string, name: string): Promise<Buffer> {
      const key = Buffer.from(`/registry/${resource}/default/${name}`).toString("base64");
      const answer = await etcd.request({ method: "POST", path: "/v3/kv/range", body: JSON.stringify({ key }) });
      const { kvs } = (await answer.body.json()) as { kvs: readonly { value: string }[] };
      return Buffer.from(kvs[0]?.value ?? assert.fail(`etcd holds no ${resource}/${name}`), "base64");
    }

    async function untilHealth(status: number): Promise<string> {
      for (;;) {
        const health = await ask("GET", "/readyz/kms-providers");
        if (health.status === status) return health.text;
        await delay(200);
      }
    }

    it("encrypts Secrets through KMS v2 under the plugin's key_id, and reads them back", async () => {
      await write("secrets", "first", "seen-by-nobody");
      const value = await stored("secrets", "first");
      assert.deepEqual(readStoredValue(value), {
        kind: "known",
        provider: "kms/v2/plugin-v2",
        keyId: localKeyId(parseLocalKeyFile(readFileSync(workshop.keyFile, "utf8"), "key")),
        dekSourceType: "hkdf-sha256-xnonce-aes-gcm-seed",
      });
      assert.ok(!value.includes("seen-by-nobody"));
      assert.equal(await read("secrets", "first"), "seen-by-nobody");
    });

    it("encrypts ConfigMaps through KMS v1 on the same socket, and reads them back", async () => {
      await write("configmaps", "first", "seen-by-nobody");
      const value = await stored("configmaps", "first");
      assert.deepEqual(readStoredValue(value), { kind: "known", provider: "kms/v1/plugin-v1" });
      assert.ok(!value.includes("seen-by-nobody"));
      assert.equal(await read("configmaps", "first"), "seen-by-nobody");
    });

    it("traces a call by the API server's uid", () => {
      assert.match(
        plugin.output.stderr,
        /"a call was answered" kms="v2" method="encrypt" uid="[0-9a-f-]{36}" code="OK"/,
      );
    });

    it("is found again after it was killed and started anew", async () => {
      plugin.kill("SIGKILL");
      await plugin.ended;
      plugin = startPlugin();
      await plugin.served(socket);
      // Each write of KMS v1 is a call to the plugin.
      await write("configmaps", "second", "after");
      assert.equal(await read("configmaps", "second"), "after");
      assert.equal(await read("configmaps", "first"), "seen-by-nobody");
      await write("secrets", "second", "after");
    });

    it("makes the API server unready while its key can't be used, with the reason, and ready again afterwards", async () => {
      await untilHealth(200);
      renameSync(workshop.keyFile, `${workshop.keyFile}.away`);
      try {
        await untilHealth(500);
        const { text } = await ask("GET", "/readyz?verbose");
        assert.match(text, /\[-\]kms-providers failed/);
        // What the API server has keys for stays readable.
        assert.equal(await read("secrets", "first"), "seen-by-nobody");
      } finally {
        renameSync(`${workshop.keyFile}.away`, workshop.keyFile);
      }
      await untilHealth(200);
      assert.match(
        plugin.output.stderr,
        /"the key can't be used: Status fails until it can" .*code="key-unusable"[^]*"the key is usable"/,
      );
    });
  });
}

function encryptionConfig(socket: string): string {
  const provider = (apiVersion: string) => ({
    kms: { apiVersion, name: `plugin-${apiVersion}`, endpoint: `unix://${socket}` },
  });
  return JSON.stringify({
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: [
      { resources: ["secrets"], providers: [provider("v2"), { identity: {} }] },
      { resources: ["configmaps"], providers: [provider("v1"), { identity: {} }] },
    ],
  });
}

function tls(files: TlsClientFiles) {
  return { ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}
