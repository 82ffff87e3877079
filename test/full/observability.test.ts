import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { parse, stringify } from "yaml";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { createLog } from "../../plugin-server/log";
import { type RunningPlugin, runPlugin } from "../../plugin-server/run-plugin";
import { runCli } from "../../rotation/cli/program";
import { findTool } from "../../tools/find-tool";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { type AzureHost, startAzureHost } from "../plugin-server/providers/azure-key-vault/azure-host";
import { record } from "./support/dashboard-record";

const folder = join(__dirname, "..", "..", "docs", "observability");
const run = promisify(execFile);

/** Where a picture's data goes, for `npm run pictures`. */
const recordFile = process.env["KMS_ETCD_DASHBOARD_RECORD"];
const day = 86_400_000;

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

/** A dashboard whose queries no metric answers looks like a cluster in order. So a real Prometheus asks them of a real cluster. */
describe("dashboard and alerts, on a real cluster", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let prometheus: ChildProcess | undefined;
  let files: Server | undefined;
  let azure: AzureHost | undefined;
  let azurePlugin: RunningPlugin | undefined;
  let address = "";
  let begun = 0;

  before(async () => {
    const pluginPort = await freePort();
    // One server, so that one plugin has the port; with automatic reload, so that there are reloads to see.
    cluster = await realCluster({
      hosts: 1,
      automaticReload: true,
      pluginSettings: { local: { arguments: [`--metrics-addr=127.0.0.1:${pluginPort}`] } },
    });
    await cluster.createSecrets(20);
    ({ server: files, address } = await startPrometheus(pluginPort, await startAzurePlugin()));
    begun = Date.now();
    await rotateWatched();
  });
  after(async () => {
    if (prometheus !== undefined) await ended(prometheus);
    files?.close();
    await azurePlugin?.stop();
    await azure?.close();
    await cluster.close();
  });

  /** Encrypts what is stored, while the file of `kms-etcd status --metrics` is kept fresh. */
  async function rotateWatched(): Promise<void> {
    const metrics = join(cluster.directory, "kms-etcd.prom");
    const over = new AbortController();
    const watch = (async () => {
      while (!over.signal.aborted) {
        await status(metrics, [0, 3, 4]);
        await sleep(2_000, undefined, { signal: over.signal }).catch(() => undefined);
      }
    })();
    try {
      const outcome = await cluster.rotate(1);
      assert.equal(outcome.kind, "done", cluster.log.join("\n"));
    } finally {
      over.abort();
      await watch;
    }
    await status(metrics, [0]);
  }

  /** No API server asks it: it is there for what only a key in Azure has, a date. */
  async function startAzurePlugin(): Promise<number> {
    azure = await startAzureHost();
    azure.vault.grant(azure.identity.objectId, "get");
    azure.key.expires = Date.now() + 200 * day;
    const { operation, ...rest } = azure.config();
    const config = {
      ...rest,
      operation: {
        ...operation,
        sockets: [join(cluster.directory, "azure.sock")],
        metrics: { host: "127.0.0.1", port: 0, explicit: true },
      },
    };
    const log = createLog(operation.log, { write: () => true });
    azurePlugin = await runPlugin(config, [await azure.open()], { log, version: "v0.0.0-test" });
    assert.ok(azurePlugin.metrics);
    return azurePlugin.metrics.port;
  }

  async function startPrometheus(pluginPort: number, azurePort: number) {
    const metrics = join(cluster.directory, "kms-etcd.prom");
    await status(metrics, [0]);
    // In the place of a node exporter with its textfile collector.
    const server = createServer((_request, response) => {
      // Prometheus 3 takes nothing without a type.
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(readFileSync(metrics));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const [host] = cluster.controlPlane.hosts;
    assert.ok(host);
    const directory = join(cluster.directory, "prometheus");
    mkdirSync(directory);
    const { caFile, certFile, keyFile } = host.client;
    const config = {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [join(folder, "rules.yml")],
      scrape_configs: [
        {
          job_name: "kube-apiserver",
          scheme: "https",
          tls_config: { ca_file: caFile, cert_file: certFile, key_file: keyFile },
          static_configs: [{ targets: [new URL(host.apiServerUrl).host] }],
        },
        {
          job_name: "kms-etcd-plugin",
          static_configs: [{ targets: [pluginPort, azurePort].map((one) => `127.0.0.1:${one}`) }],
        },
        {
          job_name: "kms-etcd-status",
          static_configs: [{ targets: [`127.0.0.1:${(server.address() as AddressInfo).port}`] }],
        },
      ],
    };
    const configFile = join(directory, "prometheus.yml");
    writeFileSync(configFile, stringify(config));
    const port = await freePort();
    const { path } = await findTool("prometheus");
    prometheus = spawn(
      path,
      [
        `--config.file=${configFile}`,
        `--storage.tsdb.path=${join(directory, "data")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: "ignore" },
    );
    return { server, address: `http://127.0.0.1:${port}` };
  }

  async function status(metrics: string, accepted: readonly number[]): Promise<void> {
    const file = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
    let stderr = "";
    const code = await runCli(["status", "--control-plane", file, "--metrics", metrics], {
      stdout: { write: () => true },
      stderr: { write: (text) => (stderr += text) },
      signal: new AbortController().signal,
      version: "0.0.0-test",
    });
    assert.ok(accepted.includes(code), `exit ${code}: ${stderr}`);
  }

  /** The samples of an instant query; a Prometheus that is still starting has none. */
  async function samples(query: string): Promise<readonly unknown[]> {
    const answer = await fetch(`${address}/api/v1/query?query=${encodeURIComponent(query)}`).catch(() => undefined);
    if (answer === undefined || answer.status === 503) return [];
    const {
      status: verdict,
      error,
      data,
    } = (await answer.json()) as {
      status: string;
      error?: string;
      data?: { result: readonly unknown[] };
    };
    assert.equal(verdict, "success", `${query}: ${error ?? ""}`);
    return data?.result ?? [];
  }

  /** Those that still have no data after a minute of clients' requests. */
  async function withoutData(queries: ReadonlyMap<string, string>): Promise<readonly string[]> {
    const missing = new Map(queries);
    for (const until = Date.now() + 90_000; missing.size > 0 && Date.now() < until; ) {
      await sleep(1_000);
      await cluster.request(
        0,
        "PATCH",
        "/api/v1/namespaces/default/secrets/s0",
        merge(),
        "application/merge-patch+json",
      );
      for (const [name, query] of missing) if ((await samples(query)).length > 0) missing.delete(name);
    }
    return [...missing].map(([name, query]) => `${name}: ${query}`);
  }

  it("promtool => the rules are right", async () => {
    const { path } = await findTool("promtool");
    const { stdout } = await run(path, ["check", "rules", join(folder, "rules.yml")]);
    assert.match(stdout, /SUCCESS: \d+ rules found/);
  });

  it("every query of the dashboard => has data", async () => {
    const { panels } = JSON.parse(readFileSync(join(folder, "dashboard.json"), "utf8")) as { panels: readonly Panel[] };
    const queries = panels.flatMap(({ title, targets = [] }) =>
      targets.map(({ expr }, index): [string, string] => [
        `${title} ${index}`,
        expr
          .replaceAll("$apiservers", "kube-apiserver")
          .replaceAll("$plugins", "kms-etcd-plugin")
          .replaceAll("[5m]", "[1m]"),
      ]),
    );
    assert.ok(queries.length >= 15);
    assert.deepEqual(await withoutData(new Map(queries)), []);
    if (recordFile !== undefined)
      await record({ dashboard: join(folder, "dashboard.json"), address, begun, recordFile });
  });

  it("every alert => asks for something that there is, and none fires on a cluster in order", async () => {
    const { groups } = parse(readFileSync(join(folder, "rules.yml"), "utf8")) as {
      groups: readonly { rules: readonly { alert: string; expr: string }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    // Without its condition an expression is what it looks at. An error's counter is there once there was an error.
    const looksAt = ({ expr }: { expr: string }) =>
      expr
        .replace(/ (==|<|>) \d+$/, "")
        .replace(',status!="OK"', "")
        .replace('status!="OK"', "")
        .replace('status="failure"', "")
        .replace('state="stale"', "")
        .replaceAll(/\[\d+m\]/g, "[1m]");
    assert.deepEqual(await withoutData(new Map(rules.map((rule) => [rule.alert, looksAt(rule)]))), []);
    for (const { alert, expr } of rules) assert.deepEqual(await samples(expr), [], alert);
  });

  it("a plugin that is gone, and objects in plaintext that came back => their alerts are raised", async () => {
    // What a restore by other means leaves: nobody writes with it.
    const text = readFileSync(join(cluster.directory, "kms-etcd.prom"), "utf8");
    writeFileSync(
      join(cluster.directory, "kms-etcd.prom"),
      `${text.trimEnd()}\n`.replace(/^(kms_etcd_stored_objects\{.*state=")current/m, "$1stale"),
    );
    const [host] = cluster.controlPlane.hosts;
    assert.ok(host);
    cluster.kill(host.name, "kms-etcd-");
    const raised = new Set<string>();
    for (const until = Date.now() + 60_000; raised.size < 2 && Date.now() < until; ) {
      await sleep(200);
      for (const alert of ["EtcdEncryptionPluginGone", "EtcdEncryptionStaleObjects"]) {
        if ((await samples(`ALERTS{alertname="${alert}"}`)).length > 0) raised.add(alert);
      }
    }
    assert.deepEqual([...raised].sort(), ["EtcdEncryptionPluginGone", "EtcdEncryptionStaleObjects"]);
  });
});

/** What only several clusters show, or hours. */
describe("alerts, on series that are made up", function () {
  this.timeout(20 * 60_000);
  let directory: string;

  before(() => {
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-alerts-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  /** promtool fails where another set of alerts is firing, an hour after the first sample. */
  async function fires(alert: string, series: Readonly<Record<string, string>>, expected: readonly object[]) {
    const file = join(directory, "test.yml");
    const input = Object.entries(series).map(([name, values]) => ({ series: name, values }));
    // Labels are compared, texts are not: promtool wants all annotations or none.
    const { groups } = parse(readFileSync(join(folder, "rules.yml"), "utf8")) as {
      groups: readonly { name: string; rules: readonly { annotations?: unknown }[] }[];
    };
    const bare = groups.map((group) => ({
      ...group,
      rules: group.rules.map((rule) => ({ ...rule, annotations: {} })),
    }));
    writeFileSync(join(directory, "rules.yml"), stringify({ groups: bare }));
    const test = {
      interval: "1m",
      input_series: input,
      alert_rule_test: [
        {
          eval_time: "1h",
          alertname: alert,
          exp_alerts: expected.map((labels) => ({ exp_labels: { severity: "warning", ...labels } })),
        },
      ],
    };
    writeFileSync(file, stringify({ rule_files: ["rules.yml"], evaluation_interval: "1m", tests: [test] }));
    const { path } = await findTool("promtool");
    await run(path, ["test", "rules", file], { cwd: directory });
  }

  const loaded = (labels: string) => `apiserver_encryption_config_controller_last_config_info{${labels}}`;

  it("two clusters, each of one mind, by label or by job => servers do not disagree", async () => {
    await fires(
      "EtcdEncryptionServersDisagree",
      {
        [loaded('cluster="a",job="apiserver",instance="a1",hash="h1"')]: "1x60",
        [loaded('cluster="a",job="apiserver",instance="a2",hash="h1"')]: "1x60",
        [loaded('cluster="b",job="apiserver",instance="b1",hash="h2"')]: "1x60",
        [loaded('job="apiserver-c",instance="c1",hash="h3"')]: "1x60",
        [loaded('job="apiserver-d",instance="d1",hash="h4"')]: "1x60",
      },
      [],
    );
  });

  it("two servers of one cluster with two configurations => an alert for that cluster", async () => {
    await fires(
      "EtcdEncryptionServersDisagree",
      {
        [loaded('cluster="a",job="apiserver",instance="a1",hash="h1"')]: "1x60",
        [loaded('cluster="a",job="apiserver",instance="a2",hash="h2"')]: "1x60",
        [loaded('cluster="b",job="apiserver",instance="b1",hash="h2"')]: "1x60",
      },
      [{ cluster: "a", job: "apiserver" }],
    );
  });

  it("one server's calls of the KMS take two seconds, another's ten milliseconds => an alert for the first", async () => {
    const calls = (part: string, instance: string) =>
      `apiserver_envelope_encryption_kms_operations_latency_seconds_${part}{job="apiserver",instance="${instance}",provider_name="p",method_name="Status",grpc_status_code="OK"}`;
    await fires(
      "EtcdEncryptionKmsSlow",
      {
        [calls("count", "slow")]: "0+1x60",
        [calls("sum", "slow")]: "0+2x60",
        [calls("count", "fast")]: "0+1x60",
        [calls("sum", "fast")]: "0+0.01x60",
      },
      [{ job: "apiserver", instance: "slow", provider_name: "p", method_name: "Status" }],
    );
  });
});

function merge(): unknown {
  return { metadata: { annotations: { touched: String(Date.now()) } } };
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exit;
}
