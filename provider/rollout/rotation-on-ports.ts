/** The RotationEngine port on the engine itself: whatever platform a cluster is of, it is opened, used and closed. */
import { keyCustodies } from "../../rotation/adapters/keys/key-custodies";
import type { Clock } from "../../rotation/clock";
import { type Cluster, closeCluster } from "../../rotation/cluster";
import { evidenceOf } from "../../rotation/evidence";
import type { Goal } from "../../rotation/goal";
import type { KeyWork } from "../../rotation/key-work";
import { planRotation } from "../../rotation/plan";
import { reinstateKeys, retireKeys } from "../../rotation/retire-keys";
import { retirementLook } from "../../rotation/retirement-look";
import { runRotationAlone } from "../../rotation/run-alone";
import type { Platform } from "./platform";
import { retirementProblems } from "./retirement-problems";
import type { RolloutGoal, RolloutRun, RotationEngine, Survey } from "./rotation-engine";

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
        const { withoutLease, retire = [], snapshotDirectories, ...rest } = goal;
        const whole: Goal = { ...rest, servers };
        const keys: KeyWork = {
          reinstate: (working) => reinstateKeys(keyCustodies, whole, working),
          ...(retire.length > 0 && {
            retire: async ({ stage }, working) => {
              const view = await retirementLook({ fleet, stored }, whole, working, snapshotDirectories);
              const say = (message: string) => onEvent({ stage, kind: "action", message, at: Date.now() });
              await retireKeys(keyCustodies, retire, view, say, working);
            },
          }),
        };
        const options = { goal: whole, fleet, stored, onEvent, signal, ...ofTests };
        const leased = alone && { ...alone, withoutLease: withoutLease === true };
        const outcome = await runRotationAlone(options, leased, keys);
        return { outcome, servers: (await fleet.observe(AbortSignal.timeout(lastLook))).servers };
      }),
  };
}

async function survey({ fleet, stored, servers }: Cluster, rollout: RolloutGoal, signal: AbortSignal): Promise<Survey> {
  const goal: Goal = { ...rollout, servers };
  const plan = await planRotation({ goal, fleet, stored, signal });
  const endpointOf = fleet.endpoint.bind(fleet);
  const evidence = evidenceOf(plan.observed, goal, endpointOf);
  return { plan, evidence, retirementProblems: await retirementProblems(plan, goal, endpointOf, rollout) };
}
