import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type HostRunner, startHostRunner } from "../../../control-plane/pods/host-runner";
import { type PodStatus, readHostStatus } from "../../../control-plane/pods/pod-status";
import { isSameProcess } from "../../../control-plane/pods/process-identity";

/** A host in a directory of its own, with a runner that can be started again on it. */
function newHost() {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-host-"));
  const manifestDirectory = join(directory, "manifests");
  const logDirectory = join(directory, "logs");
  const statusFile = join(directory, "status.json");
  mkdirSync(manifestDirectory);
  mkdirSync(logDirectory);
  const runners: HostRunner[] = [];
  const statusOf = (pod: string): PodStatus | undefined =>
    readHostStatus(statusFile)?.pods.find(({ name }) => name === pod);
  return {
    directory,
    logDirectory,
    start: () => {
      const log = () => undefined;
      const runner = startHostRunner({ host: "cp1", directory, manifestDirectory, logDirectory, statusFile, log });
      runners.push(runner);
      return runner;
    },
    write: (file: string, content: string) => {
      writeFileSync(join(manifestDirectory, `.${file}`), content);
      renameSync(join(manifestDirectory, `.${file}`), join(manifestDirectory, file));
    },
    remove: (file: string) => rmSync(join(manifestDirectory, file)),
    status: () => readHostStatus(statusFile),
    statusOf,
    pod: (name: string, condition: (status: PodStatus) => boolean) =>
      eventually(() => {
        const status = statusOf(name);
        return status !== undefined && condition(status) ? status : undefined;
      }),
    clean: async () => {
      for (const runner of runners) await runner.stop();
      rmSync(directory, { recursive: true });
    },
  };
}

function shell(name: string, script: string, gracePeriodSeconds = 5): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: { terminationGracePeriodSeconds: gracePeriodSeconds, containers: [{ command: ["sh", "-c", script] }] },
  });
}

/** What `look` finds, as soon as it finds something. */
async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    await delay(20);
  }
}

const running = (status: PodStatus): boolean => status.phase === "running";
const lives = ({ pid, processIdentity }: PodStatus): boolean => isSameProcess(pid ?? 0, processIdentity ?? "");

describe("the static pod runner", function () {
  this.timeout(20_000);
  let host: ReturnType<typeof newHost>;
  beforeEach(() => {
    host = newHost();
  });
  afterEach(() => host.clean());

  it("runs what is in the directory, restarts what changes, and stops what is removed", async () => {
    host.write("a.yaml", shell("a", "echo first; exec sleep 1000"));
    host.start();
    const first = await host.pod("a", running);
    host.write("a.yaml", shell("a", "echo second; exec sleep 1001"));
    const second = await host.pod("a", (status) => running(status) && status.pid !== first.pid);
    assert.equal(lives(first), false, "the old process ends before the new one starts");
    assert.equal(second.restarts, 0, "a changed manifest is a new pod");
    await eventually(() => readFileSync(join(host.logDirectory, "a.log"), "utf8") === "first\nsecond\n" || undefined);
    host.remove("a.yaml");
    await eventually(() => (host.statusOf("a") === undefined ? true : undefined));
    assert.equal(lives(second), false);
  });

  it("a crashed pod comes back after a back-off, and says how it ended", async () => {
    host.write("a.yaml", shell("a", "sleep 0.05; exit 3"));
    host.start();
    const waiting = await host.pod("a", ({ phase }) => phase === "waiting");
    assert.equal(waiting.lastExit?.code, 3);
    assert.ok(Date.parse(waiting.nextStartAt ?? "") > Date.now());
    const back = await host.pod("a", ({ restarts }) => restarts === 2);
    assert.equal(back.lastExit?.code, 3);
  });

  it("a pod that is killed comes back with another pid", async () => {
    host.write("a.yaml", shell("a", "exec sleep 1000"));
    host.start();
    const first = await host.pod("a", running);
    process.kill(first.pid ?? 0, "SIGKILL");
    const second = await host.pod("a", (status) => running(status) && status.pid !== first.pid);
    assert.equal(second.restarts, 1);
    assert.equal(second.lastExit?.signal, "SIGKILL");
  });

  it("a malformed manifest is reported and leaves what runs alone", async () => {
    host.write("a.yaml", shell("a", "exec sleep 1000"));
    host.start();
    const before = await host.pod("a", running);
    host.write("a.yaml", "apiVersion: v1\nkind: Pod\n");
    const problem = await eventually(() => host.status()?.problems[0]);
    assert.equal(problem.file, "a.yaml");
    assert.match(problem.message, /metadata/);
    assert.equal(host.statusOf("a")?.pid, before.pid);
    assert.ok(lives(before));
    host.write("a.yaml", shell("a", "exec sleep 1000"));
    await eventually(() => (host.status()?.problems.length === 0 ? true : undefined));
    assert.ok(lives(before), "the manifest is what it was: nothing restarts");
  });

  it("a pod that can't be started is waiting, with the reason, and other pods run", async () => {
    host.write("a.yaml", shell("a", "x").replace('"sh"', '"/no/such/program"'));
    host.write("b.yaml", shell("b", "exec sleep 1000"));
    host.start();
    const failed = await host.pod("a", ({ phase }) => phase === "waiting");
    assert.match(failed.message ?? "", /\/no\/such\/program can't be started/);
    await host.pod("b", running);
  });

  it("a pod that ignores SIGTERM is killed after its grace period, with all that it started", async () => {
    host.write(
      "a.yaml",
      shell("a", "trap '' TERM; sleep 1000 & echo $! > child.pid; echo x > ready; wait; sleep 1000", 1),
    );
    const runner = host.start();
    const pod = await host.pod("a", running);
    await eventually(() => existsSync(join(host.directory, "ready")) || undefined);
    const child = Number(readFileSync(join(host.directory, "child.pid"), "utf8"));
    const begun = Date.now();
    await runner.stop();
    assert.ok(Date.now() - begun >= 1_000);
    assert.equal(lives(pod), false);
    await eventually(() =>
      existsSync(`/proc/${child}/stat`) && !readFileSync(`/proc/${child}/stat`, "utf8").includes(") Z ")
        ? undefined
        : true,
    );
  });

  it("a runner that is gone leaves its pods, and the next one takes them over: no restart, one process", async () => {
    host.write("a.yaml", shell("a", "exec sleep 1000"));
    host.write("b.yaml", shell("b", "exec sleep 1000"));
    const record = join(host.directory, "status.json");
    host.start();
    const [a, b] = [await host.pod("a", running), await host.pod("b", running)];
    // What a supervisor finds that starts after another was killed: the record, and the processes.
    const left = readFileSync(record, "utf8");
    const second = newHost();
    writeFileSync(join(second.directory, "status.json"), left);
    second.write("a.yaml", shell("a", "exec sleep 1000"));
    second.write("b.yaml", shell("b", "exec sleep 999"));
    second.start();
    const changed = await second.pod("b", (status) => running(status) && status.pid !== b.pid);
    assert.equal(second.statusOf("a")?.pid, a.pid);
    assert.equal(second.statusOf("a")?.restarts, 0);
    assert.equal(second.statusOf("a")?.startedAt, a.startedAt);
    assert.equal(lives(b), false, "its manifest had changed meanwhile");
    assert.ok(lives(changed));
    await second.clean();
    assert.equal(lives(a), false, "taken over means stopped too");
  });

  it("a recorded pid that is another process now is left alone", async () => {
    host.write("a.yaml", shell("a", "exec sleep 1000"));
    const stranger = process.pid;
    const status = {
      name: "a",
      manifest: "a.yaml",
      manifestHash: "sha256:other",
      gracePeriodSeconds: 0,
      phase: "running",
      pid: stranger,
      processIdentity: "before the reboot",
      restarts: 0,
    };
    writeFileSync(
      join(host.directory, "status.json"),
      JSON.stringify({ formatVersion: 1, host: "cp1", pods: [status], problems: [] }),
    );
    host.start();
    const pod = await host.pod("a", running);
    assert.notEqual(pod.pid, stranger);
  });
});
