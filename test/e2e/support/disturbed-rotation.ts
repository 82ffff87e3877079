/**
 * A rotation that something goes wrong in, on a real cluster, under readers and writers and an observer who looks at what is
 * stored and what is loaded the whole time. Whatever the engine makes of it, it must converge, and nothing may be lost.
 */
import assert from "node:assert/strict";
import { startTraffic, type Traffic, type TrafficOptions } from "../../../control-plane/client-traffic";
import type { Goal } from "../../../rotation/goal";
import type { RotationOutcome } from "../../../rotation/run";
import { observeCluster } from "./cluster-observer";
import { type FaultPoint, type Strike, strikeAt } from "./fault-points";
import type { RealCluster, RunChoices } from "./real-cluster";

export interface Disturbance {
  readonly to: number;
  readonly at: FaultPoint;
  readonly strike: Strike;
  readonly goal?: Partial<Goal>;
  readonly run?: Omit<RunChoices, "onEvent">;
  /** How the runs after the first are made, where it is another way. */
  readonly nextRun?: Omit<RunChoices, "onEvent">;
  /** Called between two runs of the engine, with how the last one ended. */
  readonly between?: (outcome: RotationOutcome) => void | Promise<void>;
  /** Servers that nobody has given to the engine, so that they are not to be judged. */
  readonly unlisted?: readonly string[];
}

export interface Disturbed {
  /** How each run of the engine ended; the last one is done. */
  readonly outcomes: readonly RotationOutcome[];
  /** What the engine said, in lines. */
  readonly log: readonly string[];
}

/** An engine that was stopped by a fault says why and is started again; more often than this nobody would. */
const longestChain = 4;

/** Fails with the engine's own words. */
export async function disturbedRotation(cluster: RealCluster, disturbance: Disturbance): Promise<Disturbed> {
  const { to, at, strike, goal = {}, run = {}, nextRun = run, between, unlisted = [] } = disturbance;
  const logStart = cluster.log.length;
  const outcomes: RotationOutcome[] = [];
  await underClients(cluster, unlisted, async () => {
    const fault = strikeAt(at, strike);
    outcomes.push(await cluster.rotate(to, goal, { ...run, onEvent: fault.onEvent }));
    await fault.done();
    while (outcomes.at(-1)?.kind !== "done" && outcomes.length < longestChain) {
      const last = outcomes.at(-1) as RotationOutcome;
      assert.ok(last.kind === "blocked" && last.reason && last.remedy, `${last.kind}: ${last.reason}`);
      await between?.(last);
      outcomes.push(await cluster.rotate(to, {}, nextRun));
    }
    assert.equal(outcomes.at(-1)?.kind, "done", outcomes.at(-1)?.reason);
  });
  await assertAllThere(cluster, to);
  return { outcomes, log: cluster.log.slice(logStart) };
}

/** How the engine's runs ended, each in turn; fails with its words. */
export function assertOutcomes({ outcomes, log }: Disturbed, kinds: readonly RotationOutcome["kind"][]): void {
  const ended = outcomes.map(({ kind }) => kind);
  const why = outcomes.map(({ kind, reason }) => `${kind}: ${reason ?? ""}`).join("\n");
  assert.deepEqual(ended, kinds, `${why}\n${log.slice(-60).join("\n")}`);
}

export interface ClientChoices {
  /** What the clients write and read. @default Secrets */
  readonly kinds?: NonNullable<TrafficOptions["kinds"]>;
  /** What the observer looks at, as EncryptionConfiguration names it. @default Secrets */
  readonly resources?: readonly string[];
}

/** Runs `work` under readers, writers and the observer, and then judges what they saw. */
export async function underClients(
  cluster: RealCluster,
  unlisted: readonly string[],
  work: (traffic: Traffic) => Promise<void>,
  { kinds, resources }: ClientChoices = {},
): Promise<void> {
  const logStart = cluster.log.length;
  const traffic = startTraffic(cluster.controlPlane, { countUnreachable: false, ...(kinds && { kinds }) });
  const observer = observeCluster(cluster.controlPlane, { except: unlisted, ...(resources && { resources }) });
  let failed: unknown;
  await work(traffic).catch((thrown: unknown) => (failed = thrown));
  const { failures } = await traffic.stop();
  await observer.stop();
  const said = cluster.log.slice(logStart).slice(-60).join("\n");
  // First what was lost: it matters more than how the engine ended.
  assert.deepEqual(observer.violations, [], said);
  assert.deepEqual(failures.filter(isLoss), [], said);
  if (failed !== undefined) throw new Error(`${(failed as Error).message}\n${said}`, { cause: failed });
  assert.ok(observer.looks() >= 3, `${observer.looks()} looks`);
}

/**
 * A request that a faulty cluster refuses or does not answer is the fault itself, and its client tries again. What no fault
 * excuses: other content than was written, what is not there, and what the server has no key for.
 */
export function isLoss(failure: string): boolean {
  return /another content|content was not seen|: 404 |no matching prefix|identity transformer tried to read|: 4(?!29|01)\d\d /.test(
    failure,
  );
}

/** Every Secret is there, with its content, through every server, under the one key; the engine itself finds nothing to do. */
export async function assertAllThere(cluster: RealCluster, version: number | "identity"): Promise<void> {
  for (const [host] of cluster.controlPlane.hosts.entries()) {
    for (let index = 0; index < cluster.secrets(); index += 1) {
      const { status, text } = await cluster.request(host, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200, text);
      const { data } = JSON.parse(text) as { data: { value: string } };
      assert.equal(Buffer.from(data.value, "base64").toString(), `plaintext-${index}`);
    }
  }
  const wanted = version === "identity" ? "plaintext" : cluster.providerOf(version);
  assert.deepEqual(Object.keys(await cluster.storedProviders()), [wanted]);
  const idle = await cluster.rotate(version, {}, { maxActions: 0 });
  assert.deepEqual([idle.kind, idle.evidence.complete], ["done", true], idle.reason);
}
