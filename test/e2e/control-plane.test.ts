import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { statusControlPlane } from "../../control-plane/control-plane-status";
import type { PodStatus } from "../../control-plane/pods/pod-status";
import { isSameProcess, processIdentity } from "../../control-plane/pods/process-identity";
import { killPod } from "../../control-plane/running-pods";
import { type StartOptions, startControlPlane } from "../../control-plane/start-control-plane";
import { stateLayout } from "../../control-plane/state-layout";
import { cleanControlPlane, stopControlPlane } from "../../control-plane/stop-control-plane";
import type { LocalControlPlane, LocalControlPlaneHost } from "../../core/local-control-plane";

interface Answer {
  readonly status: number;
  readonly body: string;
}

function call(host: LocalControlPlaneHost, method: string, path: string, body?: unknown): Promise<Answer> {
  const [ca, cert, key] = [host.client.caFile, host.client.certFile, host.client.keyFile].map((file) =>
    readFileSync(file),
  );
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request(
      `${host.apiServerUrl}${path}`,
      { method, headers, agent: new Agent({ ca, cert, key }) },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** What `look` finds, as soon as it finds something. */
async function eventually<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(100);
  }
}

const secrets = "/api/v1/namespaces/default/secrets";
const readSecret = async (host: LocalControlPlaneHost, name: string): Promise<string> => {
  const { status, body } = await call(host, "GET", `${secrets}/${name}`);
  assert.equal(status, 200, body);
  const { data } = JSON.parse(body) as { data: { word: string } };
  return Buffer.from(data.word, "base64").toString();
};

describe("a control plane on this machine", function () {
  this.timeout(180_000);
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-e2e-"));
  const stateDirectory = join(directory, "state");
  const layout = stateLayout(stateDirectory);
  const options: StartOptions = { stateDirectory, unsafeNoFsync: true };
  let controlPlane: LocalControlPlane;

  const pods = async (): Promise<Record<string, PodStatus>> => {
    const { hosts } = await statusControlPlane(stateDirectory);
    return Object.fromEntries(hosts.flatMap(({ host, pods: all }) => all.map((pod) => [`${host}/${pod.name}`, pod])));
  };
  const pids = async (): Promise<Record<string, number | undefined>> =>
    Object.fromEntries(Object.entries(await pods()).map(([name, { pid }]) => [name, pid]));
  const host = (index: number): LocalControlPlaneHost => {
    const found = controlPlane.hosts[index];
    assert.ok(found);
    return found;
  };
  const untilReady = (index: number): Promise<true> =>
    eventually(async () => {
      const answer = await call(host(index), "GET", "/readyz").catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    });

  before(async () => {
    controlPlane = await startControlPlane(options);
  });
  after(async () => {
    await cleanControlPlane(stateDirectory);
    rmSync(directory, { recursive: true });
  });

  it("has three API servers on one etcd: what is written through one is read through the others", async () => {
    assert.equal(controlPlane.hosts.length, 3);
    const created = await call(host(0), "POST", secrets, {
      metadata: { name: "first" },
      stringData: { word: "hello" },
    });
    assert.equal(created.status, 201, created.body);
    for (const index of [0, 1, 2]) assert.equal(await readSecret(host(index), "first"), "hello");
  });

  it("each API server has an identity Lease of its own, with its host's name", async function () {
    if (!controlPlane.separateHostNames) return this.skip(); // needs root, and the descriptor says so
    const leases = await eventually(async () => {
      const { body } = await call(
        host(0),
        "GET",
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases?labelSelector=apiserver.kubernetes.io/identity=kube-apiserver",
      );
      const { items } = JSON.parse(body) as { items: { metadata: { labels: Record<string, string> } }[] };
      return items.length >= 3 ? items : undefined;
    });
    const names = leases.map((lease) => lease.metadata.labels["kubernetes.io/hostname"]);
    assert.deepEqual(names.sort(), ["cp1", "cp2", "cp3"]);
  });

  it("keys and kubeconfigs are readable by their owner only, and nobody gets in without a certificate", async () => {
    const files = [
      layout.kubeconfigFile,
      host(1).client.keyFile,
      host(1).encryptionConfigFile,
      layout.host("cp2").kubeconfigFile,
    ];
    for (const file of files) assert.equal(statSync(file).mode & 0o777, 0o600, file);
    const nobody = await new Promise<Answer>((resolve, reject) => {
      request(
        `${host(0).apiServerUrl}${secrets}`,
        { agent: new Agent({ ca: readFileSync(host(0).client.caFile) }) },
        (response) => {
          response.resume();
          resolve({ status: response.statusCode ?? 0, body: "" });
        },
      )
        .on("error", reject)
        .end();
    });
    assert.equal(nobody.status, 403);
  });

  it("starting it again is harmless, also twice at once; asking for another one in its place is refused", async () => {
    const before = await pids();
    const again = await Promise.all([startControlPlane(options), startControlPlane({ stateDirectory })]);
    for (const found of again) assert.deepEqual(found, controlPlane);
    assert.deepEqual(await pids(), before);
    await assert.rejects(startControlPlane({ ...options, hosts: 2 }), /has hosts 3, not 2/);
  });

  it("a killed API server comes back; the others are not touched", async () => {
    const before = await pids();
    killPod(layout, "cp2", "kube-apiserver");
    const back = await eventually(async () => {
      const pod = (await pods())["cp2/kube-apiserver"];
      return pod?.phase === "running" && pod.pid !== before["cp2/kube-apiserver"] ? pod : undefined;
    });
    assert.equal(back.restarts, 1);
    assert.equal(back.lastExit?.signal, "SIGKILL");
    await untilReady(1);
    assert.deepEqual(await pids(), { ...before, "cp2/kube-apiserver": back.pid });
  });

  it("a changed manifest restarts its API server, a removed one stops it, and it is back with the manifest", async () => {
    const before = await pids();
    const { manifestDirectory, apiServerManifest } = host(2);
    const file = join(manifestDirectory, apiServerManifest);
    const manifest = readFileSync(file, "utf8");
    const replace = (text: string): void => {
      writeFileSync(join(manifestDirectory, ".new"), text);
      renameSync(join(manifestDirectory, ".new"), file);
    };
    replace(manifest.replace("metadata:", "metadata:\n  annotations: { restarted: once }"));
    await eventually(async () =>
      (await pids())["cp3/kube-apiserver"] !== before["cp3/kube-apiserver"] ? true : undefined,
    );
    await untilReady(2);
    assert.equal((await pods())["cp3/kube-apiserver"]?.restarts, 0);

    rmSync(file);
    await eventually(async () => ((await pods())["cp3/kube-apiserver"] === undefined ? true : undefined));
    await assert.rejects(call(host(2), "GET", "/readyz"), /ECONNREFUSED/);
    const status = await statusControlPlane(stateDirectory);
    assert.deepEqual(
      status.servers.map(({ host: name, ready }) => [name, ready]),
      [
        ["etcd", true],
        ["cp1", true],
        ["cp2", true],
        ["cp3", false],
      ],
    );
    replace(manifest);
    await untilReady(2);
    assert.equal(await readSecret(host(2), "first"), "hello");
  });

  it("a manifest that can't be read is reported and does not stop what runs", async () => {
    const before = await pids();
    const file = join(host(0).manifestDirectory, host(0).apiServerManifest);
    const manifest = readFileSync(file, "utf8");
    writeFileSync(file, "kind: [");
    const problem = await eventually(
      async () =>
        (await statusControlPlane(stateDirectory)).hosts.find(({ host: name }) => name === "cp1")?.problems[0],
    );
    assert.match(problem.message, /not YAML/);
    writeFileSync(file, manifest);
    await eventually(async () =>
      (await statusControlPlane(stateDirectory)).hosts.every(({ problems }) => problems.length === 0)
        ? true
        : undefined,
    );
    assert.deepEqual(await pids(), before);
  });

  it("a killed supervisor stops nothing; the next start takes everything over without a restart", async () => {
    const before = await pids();
    const { supervisorPid } = await statusControlPlane(stateDirectory);
    assert.ok(supervisorPid);
    process.kill(supervisorPid, "SIGKILL");
    await eventually(async () => ((await statusControlPlane(stateDirectory)).state === "broken" ? true : undefined));
    assert.equal(await readSecret(host(0), "first"), "hello");
    await startControlPlane(options);
    assert.deepEqual(await pids(), before);

    killPod(layout, "cp1", "kube-apiserver");
    await eventually(async () => ((await pods())["cp1/kube-apiserver"]?.restarts === 1 ? true : undefined));
    await untilReady(0);
  });

  it("stop leaves no process, also when the supervisor was killed; the next start has the same ports and the data", async () => {
    for (const killed of [false, true]) {
      const { supervisorPid } = await statusControlPlane(stateDirectory);
      const all = [supervisorPid, ...Object.values(await pids())].map((pid) => ({
        pid: pid ?? 0,
        identity: processIdentity(pid ?? 0) ?? "",
      }));
      assert.equal(all.length, 5);
      for (const { identity } of all) assert.notEqual(identity, "");
      if (killed) process.kill(supervisorPid ?? 0, "SIGKILL");
      await stopControlPlane(stateDirectory);
      for (const { pid, identity } of all) assert.equal(isSameProcess(pid, identity), false);
      assert.equal((await statusControlPlane(stateDirectory)).state, "stopped");
      await stopControlPlane(stateDirectory);
      assert.deepEqual(await startControlPlane(options), controlPlane);
      assert.equal(await readSecret(host(1), "first"), "hello");
    }
  });

  it("a port that is taken is named, with its owner, and nothing is started", async () => {
    const other = join(directory, "other");
    const port = Number(new URL(host(0).apiServerUrl).port);
    await assert.rejects(
      startControlPlane({ stateDirectory: other, hosts: 1, apiServerPorts: [port] }),
      (error: Error) => {
        assert.match(error.message, new RegExp(`port ${port} of 127\\.0\\.0\\.1 is taken`));
        if (process.platform === "linux") assert.match(error.message, /by process \d+ \(kube-apiserver\)/);
        return true;
      },
    );
    assert.equal((await statusControlPlane(other)).state, "absent");

    await stopControlPlane(stateDirectory);
    const thief = createServer().listen(port, "127.0.0.1");
    await assert.rejects(startControlPlane(options), new RegExp(`port ${port} of 127\\.0\\.0\\.1 is taken`));
    assert.equal((await statusControlPlane(stateDirectory)).state, "stopped");
    await new Promise((closed) => thief.close(closed));
    await startControlPlane(options);
  });

  it("an API server that can't start ends the start with its log's last words, and nothing is left running", async () => {
    const broken = join(directory, "broken");
    await assert.rejects(
      startControlPlane({
        stateDirectory: broken,
        hosts: 1,
        unsafeNoFsync: true,
        apiServerArguments: ["--no-such-flag"],
      }),
      /kube-apiserver on cp1[\s\S]*unknown flag: --no-such-flag/,
    );
    assert.equal((await statusControlPlane(broken)).state, "stopped");
    await cleanControlPlane(broken);
    assert.equal(existsSync(broken), false);
  });

  it("an interrupted start leaves nothing running; a directory with other things in it is not touched", async () => {
    const interrupted = join(directory, "interrupted");
    const controller = new AbortController();
    await assert.rejects(
      startControlPlane({
        stateDirectory: interrupted,
        hosts: 1,
        unsafeNoFsync: true,
        signal: controller.signal,
        report: (line) => {
          if (line.startsWith("waiting for")) controller.abort(new Error("interrupted by SIGINT"));
        },
      }),
    );
    assert.equal((await statusControlPlane(interrupted)).state, "stopped");
    await cleanControlPlane(interrupted);

    writeFileSync(join(directory, "precious"), "data");
    await assert.rejects(startControlPlane({ stateDirectory: directory }), /is not empty and holds no control plane/);
    await cleanControlPlane(directory);
    assert.equal(readFileSync(join(directory, "precious"), "utf8"), "data");
  });

  it("in a deep directory the plugins' sockets lie where their paths are short enough, and clean removes them too", async () => {
    const deep = join(directory, "a".repeat(60), "b".repeat(60));
    const one = await startControlPlane({ stateDirectory: deep, hosts: 1, unsafeNoFsync: true });
    const sockets = one.hosts[0]?.pluginSocketDirectory ?? "";
    assert.ok(sockets.length < 44, sockets);
    assert.equal(statSync(sockets).mode & 0o777, 0o700);
    await cleanControlPlane(deep);
    assert.equal(existsSync(sockets), false);
    assert.equal(existsSync(deep), false);
  });
});
