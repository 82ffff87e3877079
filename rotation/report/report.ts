/**
 * What a run leaves behind for an auditor: what was wanted, what was found before, what is proven after, how, and when.
 * Counts, hashes and key ids; never an object's name or content, never key material. It claims no more than was seen.
 */
import { describeKey } from "../../core/key-reference";
import type { RotationStage } from "../../core/rotation-stage";
import type { Evidence } from "../evidence";
import type { Goal } from "../goal";
import { withoutObjectNames } from "../object-names";
import type { Compaction } from "../observation";
import type { RotationOutcome } from "../run";
import type { RotationEvent } from "../run-events";
import type { SnapshotRecord } from "../snapshot-record";
import { canonicalJson, type Json } from "./canonical-json";

/** Persisted and signed: never change the meaning of a property; a new meaning needs a new `formatVersion`. */
export interface RotationReport {
  readonly formatVersion: 1;
  /** What was run: `rotate`, `rewrite` or `verify` of the command line, or `pulumi up`. */
  readonly command: string;
  /** Which cluster, as the person who ran it named it. */
  readonly cluster: string;
  readonly goal: ReportedGoal;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly outcome: ReportedOutcome;
  /** In the order in which they began. One that did not finish has no times. */
  readonly stages: readonly ReportedStage[];
  /** Undefined where nothing could be measured before. */
  readonly before: Evidence | undefined;
  readonly after: Evidence;
  /** What was kept before anything left a configuration, and which keys it needs; absent where none was asked for. */
  readonly snapshot?: SnapshotRecord;
  /** What etcd was asked to forget, and did; absent where that was not asked for. */
  readonly compacted?: Compaction;
}

export interface ReportedGoal {
  readonly resources: readonly string[];
  /** The key that should encrypt, as people know it; `identity` for plaintext. */
  readonly key: string;
  /** Its declared version; undefined for plaintext. */
  readonly keyVersion: number | undefined;
  readonly advanceTo: RotationStage;
  readonly allowPlaintextReads: boolean;
  readonly servers: readonly string[];
}

export interface ReportedOutcome {
  readonly kind: RotationOutcome["kind"];
  readonly stage: RotationStage;
  readonly reason: string | undefined;
  readonly remedy: string | undefined;
}

export interface ReportedStage {
  readonly stage: RotationStage;
  readonly startedAt: string;
  readonly finishedAt: string | undefined;
  readonly durationMs: number | undefined;
  /** The part of it that was waiting for servers. */
  readonly waitingMs: number | undefined;
}

export interface ReportInput {
  readonly command: string;
  readonly cluster: string;
  readonly goal: Goal;
  readonly keyVersion: number | undefined;
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly outcome: RotationOutcome;
  readonly stages: readonly ReportedStage[];
  readonly before: Evidence | undefined;
}

export function rotationReport(input: ReportInput): RotationReport {
  const { command, cluster, goal, keyVersion, outcome, stages, before } = input;
  const { resources, writer, advanceTo, allowPlaintextReads, servers } = goal;
  return {
    formatVersion: 1,
    command,
    cluster,
    goal: {
      resources,
      key: writer === "identity" ? writer : describeKey(writer.key),
      keyVersion,
      advanceTo,
      allowPlaintextReads,
      servers,
    },
    startedAt: iso(input.startedAt),
    finishedAt: iso(input.finishedAt),
    outcome: {
      kind: outcome.kind,
      stage: outcome.stage,
      reason: outcome.reason && withoutObjectNames(outcome.reason),
      remedy: outcome.remedy,
    },
    stages,
    before,
    after: outcome.evidence,
    ...(outcome.snapshot && { snapshot: outcome.snapshot.record }),
    ...(outcome.compacted && { compacted: outcome.compacted }),
  };
}

/** The text that is signed. */
export function reportText(report: RotationReport): string {
  return canonicalJson(report as unknown as Json);
}

/** Keeps the times of a run's stages from its events. */
export function stageRecorder(): {
  readonly onEvent: (event: RotationEvent) => void;
  stages(): readonly ReportedStage[];
} {
  const recorded = new Map<RotationStage, ReportedStage>();
  return {
    onEvent({ stage, kind, at, durationMs, waitingMs }) {
      const known = recorded.get(stage);
      if (kind === "stage-started" && known === undefined) {
        recorded.set(stage, {
          stage,
          startedAt: iso(at),
          finishedAt: undefined,
          durationMs: undefined,
          waitingMs: undefined,
        });
      }
      if (kind === "stage-finished" && known !== undefined) {
        recorded.set(stage, { ...known, finishedAt: iso(at), durationMs, waitingMs });
      }
    },
    stages: () => [...recorded.values()],
  };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
