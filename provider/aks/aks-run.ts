/** Create and Update of an AksKmsSettings are the same: one run, from wherever the cluster is. */
import { describeError, KmsEtcdError } from "../../core/errors";
import type { AksEngine, AksSeen } from "../../rotation/adapters/aks/aks-engine";
import { outcomeOf } from "../../rotation/adapters/aks/aks-report";
import type { PlannedKeys } from "../../rotation/adapters/aks/held-keys";
import type { AksEvent, AksHeld } from "../../rotation/adapters/aks/run-aks";
import { isObject, type Properties } from "../property-values";
import { InitFailed, type Operation } from "../resource";
import { signingKeyOf } from "../rollout/report-signing";
import { aksRequest } from "./aks-inputs";
import { type AksOutputs, aksOutputs, evidenceToKeep, lastRun, whatHolds, whatIsHeld } from "./aks-outputs";
import { createLegViews, keyNames, settingsText } from "./aks-plan";
import { aksRunReport } from "./aks-run-report";

/** For the look after a run that has failed. A run that was cancelled needs it too, so it has a time of its own. */
const lastLook = 15_000;
/** Counters arrive by the page; a line a second is what an eye can take. */
const progressInterval = 1_000;

/**
 * The outputs after the run; `survey` is what the look before it has found. Whatever ends it early throws `InitFailed`, so that a state is left behind: the cluster may have been changed,
 * and the next `up` goes on.
 */
export async function runAksSettings(
  engine: AksEngine,
  id: string,
  inputs: Properties,
  before: Properties,
  operation: Operation,
  planned: PlannedKeys,
  survey?: AksSeen,
): Promise<Properties> {
  const asked = aksRequest(inputs, lastRun(before), planned);
  if (asked?.isWhole !== true) throw new KmsEtcdError("internal", "the inputs of an update are not all known");
  const { request } = asked;
  const { keyId, keyVersion } = inputs;
  const views = createLegViews(operation.views, keyVersion === undefined ? {} : { keyVersion });
  const plan = inputs["plan"] ?? before["plan"];
  const wanted: AksOutputs["wanted"] = { keyId, keyVersion };
  const warnings: Promise<void>[] = [];
  const seen: { last?: AksEvent; held?: AksHeld } = {};
  let report: ReturnType<typeof aksRunReport> | undefined;
  const show = progressOf(operation, keyNames(keyId, keyVersion));

  function onEvent(event: AksEvent): void {
    if (event.kind === "leg") seen.last = event;
    if (event.held !== undefined) seen.held = event.held;
    report?.onEvent(event);
    show(event);
    if (event.kind === "warning") warnings.push(operation.warn(event.message));
    if (event.kind !== "leg-finished") return;
    const { rewritten, durationMs = 0 } = event;
    const counts = rewritten === undefined ? {} : { secrets: rewritten.objects, rewritten: rewritten.rewritten };
    views.publish(event.number, event.leg, { result: "done", seconds: Math.round(durationMs / 100) / 10, ...counts });
  }

  try {
    // Before the cluster is touched: a key that cannot be used must not be found out at the end.
    const key = await signingKeyOf(inputs);
    report = aksRunReport(request, typeof keyVersion === "number" ? keyVersion : undefined, survey, key);
    const after = await engine.run(request, onEvent, operation.signal);
    const { settings, evidence, previousKeyId, provenETag } = after;
    return aksOutputs({
      clusterId: request.clusterId,
      settings,
      wanted,
      atGoal: true,
      plan,
      previousKeyId,
      lastGood: undefined,
      evidence: evidence === undefined ? before["evidence"] : evidenceToKeep(before["evidence"], evidence),
      provenETag,
      report: report.envelope({
        outcome: { kind: "done" },
        after,
        evidence,
        ...(evidence === undefined ? { provenEarlier: earlierProof(before) } : {}),
      }),
    });
  } catch (thrown) {
    if (seen.last !== undefined) views.publish(seen.last.number, seen.last.leg, { result: "stopped" }, "not finished");
    const after = await lookAfter(engine, request);
    const outputs = aksOutputs({
      clusterId: request.clusterId,
      settings: after?.settings,
      wanted,
      atGoal: false,
      plan,
      // What was proven before counts until AKS is asked for something: it may have come back to the same settings, and Secrets have not.
      ...(seen.held === undefined ? whatHolds(before, after) : whatIsHeld(seen.held, after)),
      report: report === undefined ? before["report"] : after && report.envelope({ outcome: outcomeOf(thrown), after }),
    });
    throw new InitFailed(id, outputs, [`${describeError(thrown)}; run pulumi up again to go on`]);
  } finally {
    await Promise.all([...warnings, views.settle()]);
  }
}

/** What the evidence in the state says, by its digest: this run has not seen it, so its report does not repeat it. */
function earlierProof({ evidence }: Properties): { provenAt: string; digest: string } | undefined {
  if (!isObject(evidence)) return undefined;
  const { provenAt, digest } = evidence;
  return typeof provenAt === "string" && typeof digest === "string" ? { provenAt, digest } : undefined;
}

async function lookAfter(engine: AksEngine, request: Parameters<AksEngine["run"]>[0]) {
  try {
    return await engine.look(request.clusterId, AbortSignal.timeout(lastLook));
  } catch {
    return undefined;
  }
}

function progressOf(operation: Operation, nameOf: (keyId: string) => string): (event: AksEvent) => void {
  let last = Number.NEGATIVE_INFINITY;
  return ({ kind, number, leg, message, progress }) => {
    if (kind === "warning" || kind === "leg-finished" || kind === "held") return;
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
