/** The engine, held back: `verify` may only look, `rewrite` may only rewrite. What they would need beyond that is said. */
import { type Decide, decide } from "../decide";
import type { Action } from "../decision";
import type { Observation } from "../observation";

export interface RestrictedDecide {
  readonly decide: Decide;
  /** What the engine would have done, if that is why it stopped. */
  pending(): string | undefined;
}

/** `decide`, stopping before the first action of another kind. `remedy` says which command carries it out. */
export function restrictedDecide(allowed: readonly Action["kind"][], remedy: string): RestrictedDecide {
  let pending: string | undefined;
  return {
    decide: (observed, goal, endpointOf) => {
      const seen = withPluginsAsTheyRun(observed);
      // Who may not rewrite looks all the same: by the only proof that there is, which is said beforehand.
      const { measuresByWriting: _how, ...looking } = seen;
      const decision = decide(allowed.includes("rewrite") ? seen : looking, goal, endpointOf);
      if (decision.kind !== "act" || allowed.includes(decision.action.kind)) return decision;
      pending = decision.reason;
      return { kind: "blocked", stage: decision.stage, reason: decision.reason, remedy };
    },
    pending: () => pending,
  };
}

/** With which settings plugins run is nothing that looking or rewriting depends on. */
function withPluginsAsTheyRun(observed: Observation): Observation {
  const servers = observed.servers.map((server) => ({
    ...server,
    plugins: server.plugins.map(({ outdated: _settings, ...plugin }) => plugin),
  }));
  return { ...observed, servers };
}
