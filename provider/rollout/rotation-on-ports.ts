/** The RotationEngine port on the engine itself: whatever platform a cluster is of, it is opened, used and closed. */
import { type Cluster, closeCluster } from "../../rotation/cluster";
import { evidenceOf } from "../../rotation/evidence";
import type { Goal } from "../../rotation/goal";
import { planRotation } from "../../rotation/plan";
import type { Clock } from "../../rotation/run";
import { runRotationAlone } from "../../rotation/run-alone";
import type { Platform, RolloutGoal, RolloutRun, RotationEngine, Survey } from "./rotation-engine";

/** For the look after a run. A run that was cancelled needs it too, so it has a signal of its own. */
const lastLook = 15_000;

export function createRotationEngine(open: (platform: Platform) => Promise<Cluster>, clock?: Clock): RotationEngine {
  async function withCluster<Result>(platform: Platform, work: (cluster: Cluster) => Promise<Result>): Promise<Result> {
    const cluster = await open(platform);
    try {
      return await work(cluster);
    } finally {
      await closeCluster(cluster);
    }
  }

  return {
    survey: (platform, goal, signal) => withCluster(platform, (cluster) => survey(cluster, goal, signal)),
    run: (platform, goal, onEvent, signal) =>
      withCluster(platform, async ({ fleet, stored, servers, alone }): Promise<RolloutRun> => {
        const ofTests = clock === undefined ? {} : { clock };
        const options = { goal: { ...goal, servers }, fleet, stored, onEvent, signal, ...ofTests };
        const outcome = await runRotationAlone(options, alone);
        return { outcome, servers: (await fleet.observe(AbortSignal.timeout(lastLook))).servers };
      }),
  };
}

async function survey({ fleet, stored, servers }: Cluster, rollout: RolloutGoal, signal: AbortSignal): Promise<Survey> {
  const goal: Goal = { ...rollout, servers };
  const plan = await planRotation({ goal, fleet, stored, signal });
  return { plan, evidence: evidenceOf(plan.observed, goal, fleet.endpoint.bind(fleet)) };
}
