/** Why versions that shall be retired cannot be, for a preview. */
import { isAfter, RotationStage } from "../../core/rotation-stage";
import { keptSnapshots } from "../../rotation/adapters/etcd/kept-snapshots";
import type { Goal } from "../../rotation/goal";
import type { RotationPlan } from "../../rotation/plan";
import { lastingObstacles, retirementObstacles, type UnrecordedBackups } from "../../rotation/retire-keys";
import type { EndpointOf } from "../../rotation/situation";
import type { Upkeep } from "./upkeep-inputs";

/** While a rotation is still to come, only what it will not change; otherwise everything that needs a key. */
export async function retirementProblems(
  plan: RotationPlan,
  goal: Goal,
  endpointOf: EndpointOf,
  { retire = [], snapshotDirectories = [] }: Pick<Upkeep, "retire" | "snapshotDirectories">,
  unrecordedBackups?: UnrecordedBackups,
): Promise<readonly string[]> {
  if (retire.length === 0) return [];
  const present = goal.etcdSnapshot?.directory;
  const kept = await keptSnapshots([...snapshotDirectories, ...(present === undefined ? [] : [present])]);
  const rotates = plan.changes && plan.blocked === undefined && !isAfter(RotationStage.Prune, goal.advanceTo);
  // The run makes the directory that it keeps a snapshot in.
  const unseenSnapshots = kept.unseenSnapshots.filter((directory) => !rotates || directory !== present);
  const view = {
    ...{ observed: plan.observed, goal, endpointOf, snapshots: kept.snapshots, unseenSnapshots },
    ...(unrecordedBackups && { unrecordedBackups }),
  };
  // Through the API a preview cannot see what is stored; the run looks before it retires anything.
  const isSeen = plan.observed.stored?.method === "etcd";
  const obstaclesTo = rotates || !isSeen ? lastingObstacles : retirementObstacles;
  return retire.flatMap((key) => {
    const obstacles = obstaclesTo(view, key);
    return obstacles.length === 0 ? [] : [`version ${key.version} cannot be retired: ${obstacles.join("; ")}`];
  });
}
