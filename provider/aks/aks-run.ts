/** Create and Update of an AksKmsSettings are the same: one run, from wherever the cluster is. */
import { describeError, KmsEtcdError } from "../../core/errors";
import type { AksEngine } from "../../rotation/adapters/aks/aks-engine";
import type { PlannedKeys } from "../../rotation/adapters/aks/held-keys";
import type { AksEvent } from "../../rotation/adapters/aks/run-aks";
import type { Properties } from "../property-values";
import { InitFailed, type Operation } from "../resource";
import { aksRequest } from "./aks-inputs";
import { type AksOutputs, aksOutputs, evidenceThatHolds, evidenceToKeep, lastRun, previousKeyIn } from "./aks-outputs";
import { createLegViews, keyNames, settingsText } from "./aks-plan";

/** For the look after a run that has failed. A run that was cancelled needs it too, so it has a time of its own. */
const lastLook = 15_000;
/** Counters arrive by the page; a line a second is what an eye can take. */
const progressInterval = 1_000;

/**
 * The outputs after the run. Whatever ends it early throws `InitFailed`, so that a state is left behind: the cluster may have been changed,
 * and the next `up` goes on.
 */
export async function runAksSettings(
  engine: AksEngine,
  id: string,
  inputs: Properties,
  before: Properties,
  operation: Operation,
  planned: PlannedKeys,
): Promise<Properties> {
  const asked = aksRequest(inputs, lastRun(before), planned);
  if (asked?.isWhole !== true) throw new KmsEtcdError("internal", "the inputs of an update are not all known");
  const { request } = asked;
  const { keyId, keyVersion } = inputs;
  const views = createLegViews(operation.views, keyVersion === undefined ? {} : { keyVersion });
  const plan = inputs["plan"] ?? before["plan"];
  const wanted: AksOutputs["wanted"] = { keyId, keyVersion };
  const warnings: Promise<void>[] = [];
  const seen: { last?: AksEvent } = {};
  const show = progressOf(operation, keyNames(keyId, keyVersion));

  function onEvent(event: AksEvent): void {
    if (event.kind === "leg") seen.last = event;
    show(event);
    if (event.kind === "warning") warnings.push(operation.warn(event.message));
    if (event.kind !== "leg-finished") return;
    const { rewritten, durationMs = 0 } = event;
    const counts = rewritten === undefined ? {} : { secrets: rewritten.objects, rewritten: rewritten.rewritten };
    views.publish(event.number, event.leg, { result: "done", seconds: Math.round(durationMs / 100) / 10, ...counts });
  }

  try {
    const { settings, evidence, previousKeyId } = await engine.run(request, onEvent, operation.signal);
    return aksOutputs({
      clusterId: request.clusterId,
      settings,
      wanted,
      atGoal: true,
      plan,
      previousKeyId,
      evidence: evidence === undefined ? before["evidence"] : evidenceToKeep(before["evidence"], evidence),
    });
  } catch (thrown) {
    if (seen.last !== undefined) views.publish(seen.last.number, seen.last.leg, { result: "stopped" }, "not finished");
    const found = await lookAfter(engine, request);
    const outputs = aksOutputs({
      clusterId: request.clusterId,
      settings: found,
      wanted,
      atGoal: false,
      plan,
      previousKeyId: found === undefined ? lastRun(before).previousKeyId : previousKeyIn(before, found),
      // What was proven before counts as long as the cluster still has those settings; and before anything is changed it is proven anew.
      evidence: found === undefined ? undefined : evidenceThatHolds(before, found),
    });
    throw new InitFailed(id, outputs, [`${describeError(thrown)}; run pulumi up again to go on`]);
  } finally {
    await Promise.all([...warnings, views.settle()]);
  }
}

async function lookAfter(engine: AksEngine, request: Parameters<AksEngine["run"]>[0]) {
  try {
    return await engine.settingsOf(request.clusterId, AbortSignal.timeout(lastLook));
  } catch {
    return undefined;
  }
}

function progressOf(operation: Operation, nameOf: (keyId: string) => string): (event: AksEvent) => void {
  let last = Number.NEGATIVE_INFINITY;
  return ({ kind, number, leg, message, progress }) => {
    if (kind === "warning" || kind === "leg-finished") return;
    if (kind === "progress" && progress !== undefined) {
      const now = performance.now();
      if (progress.done !== progress.total && now - last < progressInterval) return;
      last = now;
      const count = progress.total === undefined ? `${progress.done}` : `${progress.done} of ${progress.total}`;
      operation.progress(`[${number}] ${count} ${message}`);
      return;
    }
    const what = kind === "leg" && leg.kind === "set" ? `${settingsText(leg.settings, nameOf)}: ${message}` : message;
    operation.progress(`[${number}] ${what}`);
  };
}
