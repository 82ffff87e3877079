/** Create and Update of an EncryptionRollout are the same: one run of the engine, from wherever the cluster is. */
import { describeError, KmsEtcdError } from "../../core/errors";
import type { Evidence } from "../../rotation/evidence";
import { throttledProgress } from "../../rotation/progress-text";
import type { RotationOutcome } from "../../rotation/run";
import type { RotationEvent } from "../../rotation/run-events";
import type { Properties, PropertyValue } from "../property-values";
import { InitFailed, type Operation } from "../resource";
import { activeKeyVersion } from "./key-providers";
import { signingKeyOf } from "./report-signing";
import { rolloutInputs } from "./rollout-inputs";
import { evidenceToKeep, rolloutOutputs } from "./rollout-outputs";
import { rolloutReport } from "./rollout-report";
import type { RolloutGoal, RotationEngine } from "./rotation-engine";
import { createStageViews } from "./stage-views";

/**
 * The outputs after the run; `seen` is what the look before it has found. Whatever ends it early throws `InitFailed`, so that
 * a state is left behind: the cluster may have been changed, and the next `up` goes on.
 */
export async function runRollout(
  engine: RotationEngine,
  id: string,
  inputs: Properties,
  before: Properties,
  operation: Operation,
  seen?: Evidence,
): Promise<Properties> {
  const wanted = rolloutInputs(inputs);
  if (wanted === undefined) throw new KmsEtcdError("internal", "the inputs of an update are not all known");
  const views = createStageViews(operation.views, wanted.target);
  let report: ReturnType<typeof rolloutReport> | undefined;
  let hasBegun = false;
  const show = throttledProgress(operation.progress);
  const warnings: Promise<void>[] = [];
  const plan: PropertyValue = inputs["plan"] ?? before["plan"] ?? [];
  const onEvent = (event: RotationEvent) => {
    show(event);
    report?.onEvent(event);
    if (event.kind === "warning") warnings.push(operation.warn(event.message));
    if (event.kind === "stage-finished") views.finished(event);
  };
  try {
    // Before the cluster is touched: a key that cannot be used must not be found out at the end.
    report = rolloutReport(wanted, seen, await signingKeyOf(inputs));
    hasBegun = true;
    const run = await engine.run(wanted.platform, afterAnEarlierRun(wanted.goal, before), onEvent, operation.signal);
    const { outcome, servers } = run;
    const outputs = rolloutOutputs({
      activeKeyVersion: activeKeyVersion(servers, wanted.goal.resources, wanted.keys),
      atGoal: outcome.kind === "done",
      plan,
      evidence: evidenceToKeep(before["evidence"], outcome.evidence, false),
      report: report.envelope(run),
    });
    if (outcome.kind === "done") {
      views.reached(wanted.goal.advanceTo);
      return outputs;
    }
    views.stopped(outcome.stage, outcome.kind === "blocked" ? "not finished" : "interrupted");
    throw new InitFailed(id, outputs, [whyItStopped(outcome)]);
  } catch (thrown) {
    if (thrown instanceof InitFailed) throw thrown;
    const activeBefore = before["activeKeyVersion"];
    const outputs = rolloutOutputs({
      // What the cluster is like after a run that broke off, nobody has seen, and the last report is not about it.
      activeKeyVersion: hasBegun || typeof activeBefore !== "number" ? undefined : activeBefore,
      atGoal: false,
      plan,
      evidence: before["evidence"],
      report: hasBegun ? undefined : before["report"],
    });
    throw new InitFailed(id, outputs, [`${describeError(thrown)}; run pulumi up again to go on`]);
  } finally {
    await Promise.all([...warnings, views.settle()]);
  }
}

/** Whether a run that did not end has got to the compaction cannot be seen, so it is done again: that is safe. */
function afterAnEarlierRun(goal: RolloutGoal, before: Properties): RolloutGoal {
  return goal.compact === undefined || before["atGoal"] === true ? goal : { ...goal, compact: "now" };
}

function whyItStopped({ kind, stage, reason, remedy }: RotationOutcome): string {
  const remedies = kind === "blocked" ? [remedy, "then run pulumi up again"] : ["run pulumi up again to go on"];
  // The engine says how to go on in words that fit its command line too.
  const why = (reason ?? kind).replace(/; run again to go on$/, "");
  return [`${stage}: ${why}`, ...remedies].filter((part) => part !== undefined).join("; ");
}
