/**
 * What API servers would not load must not be written: one that restarts stays away with it, and one that reloads keeps what it has
 * while the engine waits in vain. It is known beforehand, so it is said before anything is changed.
 */
import { refusalOf } from "../../core/configuration-refusal";
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import { configOf, type Situation } from "../situation";
import { withReaders } from "../slots";
import { blocked, type Rule } from "./rule";

/** The goal's readers, where they are still missing, make a configuration that every server loads. A plan and a run both begin with it. */
export const theGoalCanBeLoaded: Rule = (situation) => {
  for (const server of situation.observed.servers) {
    const reload = server.reload === "hot";
    const present = configOf(server) ?? { blocks: [] };
    // What others have written is not the goal's fault; the rules about files deal with it.
    if (refusalOf(present, reload) !== undefined) continue;
    const refusal = refusalOf(withReaders(present, situation.slots), reload);
    if (refusal === undefined) continue;
    return blocked(
      RotationStage.Read,
      `${server.name} would not load a configuration for resources ${situation.goal.resources.join(", ")}: ${refusal.path} ${refusal.problem}`,
      `${refusal.remedy}; or change resources`,
    );
  }
  return undefined;
};

/** The last gate before a write, whichever rule has decided it. */
export function loadableOnly(decision: Decision, { servers }: Situation["observed"]): Decision {
  if (decision.kind !== "act" || decision.action.kind !== "writeConfig") return decision;
  for (const { server, config } of decision.action.writes) {
    const refusal = refusalOf(config, servers.find(({ name }) => name === server)?.reload === "hot");
    if (refusal === undefined) continue;
    return blocked(
      decision.stage,
      `${server} would not load the configuration that it was to get (${decision.reason}): ${refusal.path} ${refusal.problem}`,
      "it was not written; bring the configurations of all servers in line by hand, then run again",
    );
  }
  return decision;
}
