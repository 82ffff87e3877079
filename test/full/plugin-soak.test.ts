import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pluginEnvironment, pluginNodeOptions } from "../../core/plugin-node-options";
import { type AzureHost, startAzureHost } from "../plugin-server/providers/azure-key-vault/azure-host";
import { kmsClient } from "../plugin-server/support/kms-client";
import { type PluginProcess, useWorkshop, watchPlugin } from "../plugin-server/support/plugin-process";

/** Ten minutes; to try it out, KMS_ETCD_SOAK_SECONDS says how long. */
const seconds = Number(process.env["KMS_ETCD_SOAK_SECONDS"] ?? 600);
const callsPerSecond = 50;
const growthLimitMb = 8;
const residentLimitMb = 150;
/** The fake vault is in this process: when this process stood still for so long, calls of that time say nothing of the plugin. */
const standstillMs = 500;
const callLimitMs = 2_500;

describe(`the plugin under steady load for ${seconds} s`, function () {
  this.timeout(seconds * 1_000 + 120_000);
  const workshop = useWorkshop();
  let host: AzureHost;
  let child: ChildProcess;
  let plugin: PluginProcess;
  let socket: string;

  before(async () => {
    host = await startAzureHost();
    host.vault.cacheAnswers = true;
    // Renewed at three quarters of its life, so once within the run.
    host.azure.entra.tokenLifetimeSeconds = Math.ceil(seconds * 0.8);
    socket = join(workshop.directory, "soak.sock");
    const { PATH = "" } = process.env;
    const started = spawn(
      process.execPath,
      [
        ...pluginNodeOptions,
        workshop.entry,
        "azure",
        `--listen-addr=unix://${socket}`,
        "--keyvault-name=myvault",
        "--key-name=mykey",
        `--key-version=${host.key.version}`,
        `--config-file-path=${host.azureJsonFile}`,
        "--healthz-port=none",
        "--metrics-addr=none",
      ],
      {
        stdio: ["ignore", "pipe", "pipe"],
        env: { PATH, ...pluginEnvironment, ...(await host.azure.processEnvironment(host.directory)) },
      },
    );
    child = started;
    plugin = watchPlugin(started);
    await plugin.served(socket);
  });
  after(async () => {
    child.kill("SIGTERM");
    await plugin.ended;
    await host.close();
  });

  it("makes no error, renews its token, and does not grow", async () => {
    const client = kmsClient(socket);
    await client.v2.Status({});
    const tokens = host.azure.entra.granted;
    const tokensBefore = tokens();
    const plaintext = Buffer.alloc(32, 5);
    const encrypted = await client.v2.Encrypt({ plaintext, uid: "soak" });
    const { cipher } = await client.v1.Encrypt({ version: "v1beta1", plain: plaintext });
    const calls: readonly (() => Promise<unknown>)[] = [
      () => client.v2.Encrypt({ plaintext, uid: "soak" }),
      () =>
        client.v2
          .Decrypt({ ...encrypted, uid: "soak" })
          .then((answer) => assert.deepEqual(answer.plaintext, plaintext)),
      () => client.v2.Status({}),
      () => client.v1.Encrypt({ version: "v1beta1", plain: plaintext }),
      () =>
        client.v1.Decrypt({ version: "v1beta1", cipher }).then((answer) => assert.deepEqual(answer.plain, plaintext)),
    ];
    const errors: { readonly at: number; readonly error: unknown }[] = [];
    const standstills: number[] = [];
    let lastTurn = performance.now();
    const memory: number[] = [];
    const underWay = new Set<Promise<unknown>>();
    const begun = performance.now();
    let made = 0;
    for (let left = true; left; left = performance.now() - begun < seconds * 1_000) {
      if (performance.now() - lastTurn > standstillMs) standstills.push(performance.now());
      lastTurn = performance.now();
      // As many as are due: a machine that paused us is not asked for less.
      for (; made < ((performance.now() - begun) / 1_000) * callsPerSecond; made++) {
        const call = calls[made % calls.length]?.().catch((error: unknown) =>
          errors.push({ at: performance.now(), error }),
        );
        if (call === undefined) continue;
        underWay.add(call);
        void call.then(() => underWay.delete(call));
      }
      if (memory.length < ((performance.now() - begun) / (seconds * 1_000)) * 100) memory.push(residentMb(plugin.pid));
      await delay(20);
    }
    await Promise.all(underWay);
    client.close();
    const [early, late] = [median(memory.slice(20, 40)), median(memory.slice(-20))];
    process.stdout.write(`      ${made} calls, ${early.toFixed(1)} MB early, ${late.toFixed(1)} MB late\n`);
    const excused = ({ at }: { readonly at: number }) =>
      standstills.some((end) => at > end - callLimitMs && at < end + 2 * callLimitMs);
    if (standstills.length > 0) process.stdout.write(`      this machine stood still ${standstills.length} times\n`);
    assert.ok(standstills.length * 3 * callLimitMs < seconds * 100, "the machine is too busy for this test");
    assert.deepEqual(errors.filter((error) => !excused(error)).slice(0, 3), []);
    assert.ok(made >= seconds * callsPerSecond * 0.95, `${made} calls`);
    assert.ok(late - early <= growthLimitMb, `${early} MB has become ${late} MB`);
    assert.ok(tokens() - tokensBefore >= 1, "the token was renewed");
    assert.ok(late <= residentLimitMb, `${late} MB`);
    if (errors.length === 0) assert.doesNotMatch(plugin.output.stderr, /a call failed|can't be used/);
  });
});

function residentMb(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kilobytes) / 1_000;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
