/** `rotate`, `rewrite` and `verify`: one run of the engine, with its progress, its result and its report. */
import { RotationStage } from "../../core/rotation-stage";
import type { Clock } from "../clock";
import type { Cluster } from "../cluster";
import { type Evidence, evidenceOf } from "../evidence";
import { planRotation, type RotationPlan } from "../plan";
import { throttledProgress } from "../progress-text";
import { type ReportedStage, rotationReport, stageRecorder } from "../report/report";
import type { RotationOutcome } from "../run";
import { runRotationAlone } from "../run-alone";
import type { RotationEvent } from "../run-events";
import { ExitCode } from "./exit-code";
import { jsonText } from "./json-text";
import { counted, type LookContext, type Target } from "./look";
import { planText, targetText } from "./plan-text";
import type { ReportFile } from "./report-file";
import { type RestrictedDecide, restrictedDecide } from "./restricted-decide";
import type { Settings } from "./settings";
import { amount, duration } from "./table";
import { busy, type Terminal } from "./terminal";

export type RunName = "rotate" | "rewrite" | "verify";

export interface RunRequest extends LookContext {
  readonly name: RunName;
  readonly cluster: Cluster;
  readonly settings: Settings;
  readonly target: Target;
  readonly breakLease: boolean;
  readonly withoutLease: boolean;
  readonly json: boolean;
  readonly reportFile: ReportFile | undefined;
  readonly clock?: Clock;
}

export async function runCommand(request: RunRequest): Promise<ExitCode> {
  const { name, cluster, target, terminal, signal, json, reportFile, clock } = request;
  const startedAt = Date.now();
  if (name === "verify" && writesToProve(cluster)) terminal.say(provenByWriting);
  const plan = await present(request);
  const before = plan && evidenceOf(plan.observed, target.goal, cluster.fleet.endpoint.bind(cluster.fleet));
  if (plan !== undefined && name === "rotate" && !json && !signal.aborted) terminal.say(`${planText(plan, target)}\n`);
  const restricted = restriction(request);
  const recorder = stageRecorder();
  const show = showEvents(terminal);
  const outcome = await runRotationAlone(
    {
      goal: target.goal,
      fleet: cluster.fleet,
      stored: cluster.stored,
      signal,
      onEvent: (event) => {
        recorder.onEvent(event);
        show(event);
      },
      ...(restricted && { decide: restricted.decide }),
      ...(clock && { clock }),
    },
    // A proof in etcd only reads, so it need not keep anyone out. One through the API writes stale objects again.
    name === "verify" && !writesToProve(cluster)
      ? undefined
      : cluster.alone && {
          ...cluster.alone,
          breakLease: request.breakLease,
          withoutLease: request.withoutLease,
        },
  );
  const finishedAt = Date.now();
  const exitCode = exitCodeOf(name, outcome, restricted);
  const result = { before, outcome, stages: recorder.stages(), exitCode, took: finishedAt - startedAt };
  terminal.print(json ? jsonText(runDocument(request, result)) : runText(request, result));
  if (reportFile !== undefined) {
    await reportFile.write(
      rotationReport({
        command: name,
        cluster: request.settings.platform.description,
        goal: target.goal,
        keyVersion: target.keyVersion,
        startedAt,
        finishedAt,
        outcome,
        stages: result.stages,
        before,
      }),
    );
    const how = reportFile.keyId === undefined ? "not signed" : `signed with ${reportFile.keyId}`;
    terminal.say(`report: ${reportFile.path} (${how})`);
  }
  return exitCode;
}

/** Said before it is done; the same words are in the help and in docs/cli.md. */
export const provenByWriting =
  "without a way to etcd every object is offered for a no-op write; stale ones are rewritten, and nothing else is changed";

/** Whether a look at what is stored goes through the API servers, because there is no way to etcd. */
export function writesToProve({ stored }: Pick<Cluster, "stored">): boolean {
  return stored.countEverything === undefined;
}

/** What is stored before, and what would be done: `verify` measures it itself. */
async function present({ name, cluster, target, terminal, signal }: RunRequest): Promise<RotationPlan | undefined> {
  if (name === "verify") return undefined;
  const { stored, text } = counted(cluster.stored);
  return busy(terminal, text, planRotation({ goal: target.goal, fleet: cluster.fleet, stored, signal }));
}

function restriction({ name, target }: RunRequest): RestrictedDecide | undefined {
  const version = target.keyVersion ?? "identity";
  const rotate = `run kms-etcd rotate ${version}`;
  if (name === "rewrite") return restrictedDecide(["rewrite"], rotate);
  return name === "verify" ? restrictedDecide([], rotate) : undefined;
}

function exitCodeOf(name: RunName, outcome: RotationOutcome, restricted: RestrictedDecide | undefined): ExitCode {
  switch (outcome.kind) {
    case "done":
      return name === "rotate" || outcome.evidence.complete ? ExitCode.Ok : ExitCode.Pending;
    case "cancelled":
      return ExitCode.Interrupted;
    case "paused":
      return ExitCode.Pending;
    case "blocked":
      return restricted?.pending() === undefined ? ExitCode.Blocked : ExitCode.Pending;
  }
}

interface RunResult {
  readonly before: Evidence | undefined;
  readonly outcome: RotationOutcome;
  readonly stages: readonly ReportedStage[];
  readonly exitCode: ExitCode;
  readonly took: number;
}

function runDocument({ name, target }: RunRequest, { before, outcome, stages, exitCode }: RunResult) {
  const { kind, stage, reason, remedy, evidence } = outcome;
  return {
    command: name,
    target: target.keyVersion ?? "identity",
    resources: target.goal.resources,
    outcome: kind,
    exitCode,
    stage,
    reason,
    remedy,
    stages,
    before,
    evidence,
    snapshot: outcome.snapshot?.record,
    compacted: outcome.compacted,
  };
}

function runText({ target, name }: RunRequest, { outcome, took, exitCode }: RunResult): string {
  const { kind, stage, reason = "", remedy, evidence } = outcome;
  const goal = targetText(target);
  const lines: string[] = [];
  if (exitCode === ExitCode.Ok) {
    const held = target.goal.advanceTo !== RotationStage.Prune && name === "rotate" ? `, held after ${stage}` : "";
    const what = name === "rotate" ? `the cluster is at ${goal}${held}` : `every stored object uses ${goal}`;
    lines.push(`done in ${duration(took)}: ${what}`);
  } else if (kind === "cancelled") lines.push(`stopped in ${stage}: ${reason}`);
  else if (exitCode === ExitCode.Pending) lines.push(`not at ${goal}: ${reason || "not everything is proven"}`);
  else lines.push(`blocked in ${stage}: ${reason}`);
  if (remedy !== undefined) lines.push(`remedy: ${remedy}`);
  return [...lines, ...evidenceLines(evidence), ...keptLines(outcome)].join("\n");
}

function keptLines({ snapshot, compacted }: RotationOutcome): readonly string[] {
  return [
    ...(snapshot === undefined
      ? []
      : [`snapshot: ${snapshot.directory}/${snapshot.record.snapshot}, sha256:${snapshot.record.sha256}`]),
    ...(compacted === undefined
      ? []
      : [
          `etcd has forgotten what was overwritten before revision ${compacted.revision}; defragmented: ${compacted.defragmented.join(", ")}`,
        ]),
  ];
}

/** What was proven, in full: an auditor reads this part. */
export function evidenceLines(evidence: Evidence): readonly string[] {
  const { resources, servers, method, discovery, provenAt, complete } = evidence;
  if (method === "none") return ["nothing was proven about what is stored"];
  const lines = resources.map(({ resource, objects, keys, unknown }) => {
    const parts = keys.map((key) => {
      const keyId = key.keyId === undefined ? "" : ` key_id ${key.keyId}`;
      return `${key.objects} with ${key.provider}${keyId}`;
    });
    if (unknown > 0) parts.push(`${unknown} not understood`);
    return `${resource}: ${amount(objects, "object")}${parts.length === 0 ? "" : `, ${parts.join(", ")}`}`;
  });
  const how = method === "etcd" ? "every stored value read in etcd" : "every object offered to every server";
  const verdict = complete ? "proven complete" : "not at the goal";
  return [
    ...lines,
    `${verdict}: ${how}, ${provenAt}`,
    `servers: ${servers.map(({ name, loadedHash }) => `${name} ${loadedHash.slice(0, 19) || "not seen"}`).join(", ")} (${discovery})`,
  ];
}

/** Counters and waits pass; everything else stays to be read. */
function showEvents(terminal: Terminal): (event: RotationEvent) => void {
  let passes = false;
  const show = throttledProgress((text) => (passes ? terminal.passing(text) : terminal.say(text)));
  return (event) => {
    passes = event.kind === "progress" || event.kind === "waiting";
    show(event);
  };
}
