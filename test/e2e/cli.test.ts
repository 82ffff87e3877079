import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localControlPlaneFile } from "../../core/local-control-plane";
import { type RealCluster, realCluster } from "./support/real-cluster";

const compiled = join(__dirname, "..", "..", "dist", "rotation", "cli.js");
const secrets = 30;

interface Running {
  readonly process: ChildProcess;
  /** Resolves when stderr has the text; rejects when the process ends without it. */
  says(text: RegExp): Promise<void>;
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** The compiled command as its users start it: a process with its own signals and exit code. Servers restart: that is quickest. */
describe("kms-etcd on a real control plane", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let settings: string[];
  const children = new Set<ChildProcess>();

  before(async () => {
    cluster = await realCluster({ hosts: 2, automaticReload: false });
    await cluster.createSecrets(secrets);
    const descriptor = join(cluster.controlPlane.stateDirectory, localControlPlaneFile);
    const keyFile = (version: number) => {
      const { key } = cluster.keyVersion(version);
      return key.kind === "local" ? key.file : "";
    };
    settings = [
      "--control-plane",
      descriptor,
      ...[1, 2].flatMap((version) => ["--key", `${version}=${keyFile(version)}`]),
    ];
  });
  after(async () => {
    for (const child of children) child.kill("SIGKILL");
    await cluster.close();
  });

  function start(...args: string[]): Running {
    const child = spawn(process.execPath, [compiled, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    children.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = once(child, "close").then(([code]) => {
      children.delete(child);
      return { code: code as number | null, stdout, stderr };
    });
    return {
      process: child,
      ended,
      says: (text) =>
        new Promise((resolve, reject) => {
          const look = () => text.test(stderr) && resolve();
          child.stderr.on("data", look);
          look();
          void ended.then(({ code }) => reject(new Error(`ended with ${code} without ${text}:\n${stdout}${stderr}`)));
        }),
    };
  }
  const run = (command: string, ...args: string[]) => start(command, ...args, ...settings).ended;

  /** An engine that stops right after it has asked for a restart leaves that to the host. */
  async function waitUntilReady(host: number): Promise<void> {
    for (const until = Date.now() + 120_000; Date.now() < until; ) {
      const ready = await cluster.request(host, "GET", "/readyz").catch(() => undefined);
      if (ready?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
    assert.fail(`host ${host} did not come back`);
  }

  async function assertEverythingReadable(): Promise<void> {
    for (const [host] of cluster.controlPlane.hosts.entries()) {
      await waitUntilReady(host);
      for (let index = 0; index < secrets; index += 1) {
        const { status, text } = await cluster.request(host, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
        assert.equal(status, 200, text);
        const { data } = JSON.parse(text) as { data: { value: string } };
        assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
      }
    }
  }

  it("a plaintext cluster => status is in order and says plaintext; plan shows six stages and restarts", async () => {
    const status = await run("status");
    assert.equal(status.code, 0, status.stdout + status.stderr);
    assert.match(status.stdout, /^engine +none at work$/m);
    assert.match(status.stdout, /^cp1 +v1\.\d+\.\d+ +ready +at start +sha256:[0-9a-f]{12} +\S/m);
    assert.match(status.stdout, /^secrets +identity +- +30 +current$/m);
    const plan = await run("plan", "1", "--json");
    assert.equal(plan.code, 3, plan.stderr);
    const { stages } = JSON.parse(plan.stdout) as { stages: { stage: string; restarts: number }[] };
    assert.deepEqual(
      stages.map(({ stage }) => stage),
      ["Plugin", "Read", "Write", "Rewrite", "Prune"],
    );
    assert.equal(
      stages.reduce((sum, { restarts }) => sum + restarts, 0),
      6,
    );
    assert.deepEqual(await cluster.storedProviders(), { plaintext: secrets });
  });

  it("rotate 1 => encrypted, proven, and a signed report of it that verify-report accepts", async () => {
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const file = (name: string) => join(cluster.directory, name);
    writeFileSync(file("sign.pem"), pair.privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
    writeFileSync(file("sign.pub"), pair.publicKey.export({ type: "spki", format: "pem" }));
    const { code, stdout, stderr } = await run(
      "rotate",
      "1",
      "--report",
      file("r.json"),
      "--sign-with",
      file("sign.pem"),
    );
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^secrets: 30 objects, 30 with kms\/v2\/kms-etcd-\w+ key_id local-\w+$/m);
    assert.match(stdout, /^proven complete: every stored value read in etcd/m);
    assert.deepEqual(await cluster.storedProviders(), { [cluster.providerOf(1)]: secrets });
    const check = await start("verify-report", file("r.json"), "--public-key", file("sign.pub")).ended;
    assert.equal(check.code, 0, check.stderr);
    assert.match(check.stdout, /^before:\n {2}secrets: 30 objects, 30 with identity$/m);
    const { payload } = JSON.parse(readFileSync(file("r.json"), "utf8")) as { payload: string };
    assert.doesNotMatch(Buffer.from(payload, "base64").toString(), /"s\d+"|plaintext-|BEGIN/);
  });

  it("rotate 2 with a second engine started meanwhile, ^C, SIGKILL, and again => always readable, done in the end", async () => {
    const first = start("rotate", "2", ...settings);
    await first.says(/\[2\/6\] Read: cp\d: restart/);
    const second = await run("rotate", "2");
    assert.equal(second.code, 4, second.stdout + second.stderr);
    assert.match(second.stdout, new RegExp(`another engine is at work.*process ${first.process.pid}, since`));
    const busy = await run("status");
    assert.match(busy.stdout, new RegExp(`^engine .*process ${first.process.pid}, since`, "m"));

    first.process.kill("SIGINT");
    const interrupted = await first.ended;
    assert.equal(interrupted.code, 130, interrupted.stdout + interrupted.stderr);
    assert.match(interrupted.stderr, /stopping at the next safe point/);
    assert.match(interrupted.stdout, /^stopped in Read: /m);
    await assertEverythingReadable();
    assert.match((await run("status")).stdout, /^engine +none at work$/m, "an engine that stops lets go of the Lease");

    const third = start("rotate", "2", ...settings);
    await third.says(/\[3\/6\] Write: /);
    third.process.kill("SIGKILL");
    await third.ended;
    assert.match((await run("status")).stdout, /^engine .*since/m, "a killed engine does not");

    const last = await run("rotate", "2");
    assert.equal(last.code, 0, last.stdout + last.stderr);
    assert.doesNotMatch(last.stderr, /was at work/, "that it is gone is known at once: it ran on this machine");
    assert.deepEqual(await cluster.storedProviders(), { [cluster.providerOf(2)]: secrets });
    await assertEverythingReadable();
  });

  it("at the goal => verify proves it, rewrite and plan have nothing to do", async () => {
    const verified = await run("verify", "--json");
    assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    const { evidence, target } = JSON.parse(verified.stdout) as { evidence: { complete: boolean }; target: number };
    assert.deepEqual([evidence.complete, target], [true, 2]);
    assert.equal((await run("verify", "1")).code, 3);
    assert.equal((await run("plan", "2")).code, 0);
  });

  it("an engine that was killed on another machine => waited for with progress, then taken over after one duration", async () => {
    const path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
    const now = new Date().toISOString().replace("Z", "000Z");
    const spec = {
      holderIdentity: "them@elsewhere, process 5",
      leaseDurationSeconds: 15,
      acquireTime: now,
      renewTime: now,
    };
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name: "kms-etcd-rotation" },
      spec,
    };
    const made = await cluster.request(0, "POST", path, lease);
    assert.equal(made.status, 201, made.text);
    const begun = Date.now();
    const { code, stdout, stderr } = await run("rewrite");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stderr, /them@elsewhere, process 5 was at work \d+ s ago; if it is gone, its Lease ends in 15 s/);
    assert.ok(Date.now() - begun >= 15_000, "a living engine would have renewed it in this time");
    assert.equal((await cluster.request(0, "GET", `${path}/kms-etcd-rotation`)).status, 404);
  });
});
