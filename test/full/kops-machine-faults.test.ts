import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { parse, stringify } from "yaml";
import type { Kops } from "../../rotation/adapters/kops/kops-ports";
import { createKopsRunner, type KopsCommand, type RunKopsCommand } from "../../rotation/adapters/kops/kops-process";
import { ec2Error, type FaultDoor, s3Error, startFaultDoor } from "../fakes/kops/fault-door";
import {
  assertDone,
  assertOnlyPlugin,
  type EngineOnMachines,
  type EngineRun,
  engineOnMachines,
} from "../fakes/kops/machines/engine-on-machines";
import { pythonOrSkip } from "../fakes/kops/machines/python-or-skip";
import { controlPlanesOf, type RealKopsCluster, startRealKopsCluster } from "../fakes/kops/machines/real-kops-cluster";
import { watchCluster } from "../fakes/kops/machines/watched-cluster";

const secrets = 4;
const machines = controlPlanesOf(process.env);
class Killed extends Error {}

/** Faults in the middle of a rotation, with the real kops, real API servers and real plugins. */
describe("faults of a kOps rotation on real API servers", function () {
  this.timeout(90 * 60_000);
  let cluster: RealKopsCluster;
  let engine: EngineOnMachines;
  let door: FaultDoor;
  /** The real program, through the door. */
  let plain: RunKopsCommand;
  /** Of the key that the cluster uses; each test goes on to the next. */
  let version = 1;

  before(async function () {
    const front = async (cloud: string) => {
      door = await startFaultDoor(cloud);
      closing.push(() => door.stop());
      return door.url;
    };
    cluster = await startRealKopsCluster({ python: await pythonOrSkip(this), controlPlanes: machines, front });
    closing.push(cluster.close);
    plain = createKopsRunner(cluster.program, cluster.environment);
    engine = engineOnMachines(cluster);
    await cluster.createSecrets(secrets);
    assertDone(cluster, await engine.run(version));
  });
  const closing: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });
  beforeEach(() => (version += 1));
  afterEach(() => {
    door.fault = () => undefined;
  });

  const ids = () => cluster.nodes.machines().map(({ id }) => id);
  const stored = async () => Object.keys(await cluster.storedProviders());
  const putSecret = (text: string) =>
    cluster.kops(["create", "secret", "encryptionconfig", "--name", cluster.name, "-f", "-", "--force"], text);

  /** What a run that is held has somebody do. */
  async function carryOut(): Promise<void> {
    await cluster.kops(["update", "cluster", "--name", cluster.name, "--yes", "--create-kube-config=false"]);
    const quick = ["--validate-count", "1", "--control-plane-interval", "12s", "--post-drain-delay", "0s"];
    const rolled = ["rolling-update", "cluster", "--name", cluster.name, "--use-kubeconfig", "--yes"];
    await cluster.kops([...rolled, "--instance-group-roles", "control-plane", ...quick]);
    await cluster.nodes.settled();
  }

  /** Goes on to the end, and every Secret is stored with the key of this test's version. */
  async function finish(): Promise<EngineRun> {
    await cluster.nodes.settled();
    const outcome = await engine.run(version);
    assertDone(cluster, outcome);
    const found = await stored();
    assert.equal(found.length, 1, JSON.stringify(found));
    assertOnlyPlugin(cluster, await engine.plugin(version));
    return outcome;
  }

  /** By the kernel, in an instant, as soon as `isDue`. */
  async function killedOnce(isDue: () => boolean | Promise<boolean>, { args }: KopsCommand): Promise<never> {
    const child = spawn(cluster.program, args, { env: cluster.environment, stdio: "ignore" });
    const ended = once(child, "exit");
    while (child.exitCode === null && !(await isDue())) await sleep(100);
    child.kill("SIGKILL");
    await ended;
    throw new Killed();
  }

  /** Waits for a valid cluster no longer than that. */
  const impatient: RunKopsCommand = (command) =>
    plain({ ...command, args: command.args.map((word) => (word === "10m" ? "15s" : word)) });

  it("killed after every single action, and a machine replaced in every gap => each one boots, reads everything, and the rotation ends", async () => {
    const watch = watchCluster(cluster);
    const done: string[] = [];
    try {
      for (let run = 0; ; run += 1) {
        assert.ok(run < 60, done.join("\n"));
        let acted = 0;
        const dies = (kops: Kops): Kops => {
          /** The first change of the cluster is made; before the second one the engine is gone. */
          const once =
            <Args extends readonly unknown[], Result>(work: (...args: Args) => Promise<Result>) =>
            (...args: Args) => {
              if ((acted += 1) > 1) throw new Killed();
              return work(...args);
            };
          return {
            ...kops,
            putCluster: once(kops.putCluster),
            putSecret: once(kops.putSecret),
            update: once(kops.update),
            roll: once(kops.roll),
          };
        };
        const outcome = await engine.run(version, { wrap: dies }).catch((thrown: unknown) => {
          if (!(thrown instanceof Killed)) throw thrown;
          return undefined;
        });
        if (outcome?.reason?.endsWith("from before this run") === true) {
          // At the goal nobody can tell whose a change is: what the run says is done, and it goes on.
          assert.equal(acted, 0, "held before its first change");
          await carryOut();
          continue;
        }
        if (outcome !== undefined) {
          assertDone(cluster, outcome);
          break;
        }
        done.push(engine.commands.at(-1)?.args.join(" ") ?? "");
        const oldest = ids()[0] ?? assert.fail();
        await cluster.cloud.terminate(oldest);
        await cluster.nodes.settled();
        assert.ok(!ids().includes(oldest));
      }
    } finally {
      await watch.stop();
    }
    assert.deepEqual(watch.violations, []);
    assert.ok(done.length >= 8, done.join("\n"));
    await finish();
  });

  it("kops killed right after it has replaced a machine, with the control plane half rolled, and the engine with it => the next run ends", async () => {
    const before = ids();
    /** With one machine the first roll is the last one. */
    const fatal = Math.min(2, machines);
    let rolls = 0;
    const run: RunKopsCommand = async (command) => {
      if (command.args[0] !== "rolling-update" || (rolls += 1) !== fatal) return plain(command);
      const known = ids();
      return killedOnce(() => ids().some((id) => !known.includes(id)), command);
    };
    await assert.rejects(engine.run(version, { run }), Killed);
    assert.equal(ids().filter((id) => before.includes(id)).length, machines - fatal);
    await finish();
    assert.ok(!ids().some((id) => before.includes(id)));
  });

  it("a machine that does not join => the roll ends, the secret of before is back, nothing is lost; when it joins, the next run ends", async () => {
    const before = await cluster.secret();
    const untouched = ids();
    const held = (kops: Kops): Kops => ({
      ...kops,
      roll: (...args) => {
        cluster.nodes.hold(true);
        return kops.roll(...args);
      },
    });
    const outcome = await engine.run(version, { wrap: held, validationTimeoutSeconds: 40 });
    cluster.nodes.hold(false);
    assert.equal(outcome.kind, "blocked", outcome.events.join("\n"));
    assert.match(outcome.reason ?? "", /validating cluster|not yet joined|is not valid/);
    assert.equal(await cluster.secret(), before);
    assert.equal(ids().filter((id) => untouched.includes(id)).length, machines - 1);
    await finish();
  });

  it("engine and kops killed while a new machine does not come up => the next run takes the secret back; with that machine terminated, the run after it ends", async () => {
    const before = await cluster.secret();
    const groups = async () => (await cluster.cloud.instances()).filter(({ isControlPlane }) => isControlPlane);
    const untouched = (await groups()).map(({ id }) => id);
    const fresh = async () => (await groups()).filter(({ id }) => !untouched.includes(id));
    const fatal: RunKopsCommand = async (command) => {
      if (command.args[0] !== "rolling-update") return plain(command);
      cluster.nodes.spoil(true);
      return killedOnce(async () => (await fresh()).length > 0, command);
    };
    await assert.rejects(engine.run(version, { run: fatal }), Killed);
    assert.notEqual(await cluster.secret(), before);
    const outcome = await engine.run(version, { run: impatient, validationTimeoutSeconds: 40 });
    cluster.nodes.spoil(false);
    const told = [outcome.reason, outcome.remedy, ...outcome.events].join("\n");
    assert.equal(outcome.kind, "blocked", told);
    assert.equal(await cluster.secret(), before, told);
    assert.match(outcome.remedy ?? "", /terminate/, told);
    const [broken = assert.fail(), ...others] = await fresh();
    assert.deepEqual(others, [], "no further machine was replaced");
    await cluster.cloud.terminate(broken.id);
    await finish();
  });

  it("a cluster that is not valid when the run begins => nothing is replaced, and the reason is kops' own", async () => {
    const before = ids();
    const [sick] = before;
    const broken = { status: { conditions: [{ type: "Ready", status: "False", reason: "Test" }] } };
    const path = `/api/v1/nodes/${sick}/status`;
    await cluster.nodes.ask("PATCH", path, broken, "application/strategic-merge-patch+json");
    const outcome = await engine.run(version, { run: impatient });
    assert.equal(outcome.kind, "blocked");
    assert.match(outcome.reason ?? "", new RegExp(`${sick}.* is not ready`));
    assert.deepEqual(ids(), before);
    await cluster.nodes.ask("DELETE", `/api/v1/nodes/${sick}`); // it registers anew
    await finish();
  });

  it("somebody else changes the secret between two stages => refused, the difference is told in providers and holds no key; put back, the next run ends", async () => {
    const hidden = Buffer.alloc(32, 7).toString("base64");
    let ours = "";
    const meddled = (kops: Kops): Kops => ({
      ...kops,
      async roll(...args) {
        const failure = await kops.roll(...args);
        if (ours !== "") return failure;
        ours = await cluster.secret();
        const config = parse(ours) as { resources: [{ providers: unknown[] }] };
        config.resources[0].providers.push({ aescbc: { keys: [{ name: "theirs", secret: hidden }] } });
        const theirs = stringify(config);
        await putSecret(theirs);
        return failure;
      },
    });
    const outcome = await engine.run(version, { wrap: meddled });
    assert.equal(outcome.kind, "blocked", outcome.events.join("\n"));
    assert.match(outcome.reason ?? "", /somebody else has changed the encryptionconfig secret.*aescbc\/theirs/s);
    assert.ok(![outcome.reason, outcome.remedy, ...outcome.events].join("\n").includes(hidden));
    await putSecret(ours);
    await finish();
  });

  it("the state store can't be written => the run ends with what AWS says, and store and machines are as they were", async () => {
    const before = { secret: await cluster.secret(), machines: ids() };
    door.fault = ({ method, url }) =>
      method === "PUT" && url?.startsWith("/kops-state/") === true ? s3Error(403, "AccessDenied") : undefined;
    const outcome = await engine.run(version);
    assert.equal(outcome.kind, "blocked", outcome.events.join("\n"));
    assert.match(outcome.reason ?? "", /AccessDenied/);
    assert.ok(door.refused() > 0);
    assert.deepEqual({ secret: await cluster.secret(), machines: ids() }, before);
    door.fault = () => undefined;
    await finish();
  });

  it("AWS throttles every fifth call, S3 and EC2 alike => the rotation ends all the same", async () => {
    let calls = 0;
    const before = door.refused();
    door.fault = ({ headers }) => {
      calls += 1;
      if (calls % 5 !== 0) return undefined;
      const isS3 = headers.authorization?.includes("/s3/") === true;
      return isS3 ? s3Error(503, "SlowDown") : ec2Error(503, "RequestLimitExceeded");
    };
    await finish();
    assert.ok(door.refused() - before > 20);
  });
});
