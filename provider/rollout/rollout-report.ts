/** What a rollout leaves behind for an auditor, as an output: the same report that the command line writes to a file. */
import type { Evidence } from "../../rotation/evidence";
import { type SigningKey, sealPayload } from "../../rotation/report/envelope";
import { reportText, rotationReport, stageRecorder } from "../../rotation/report/report";
import { describePlatform } from "./platform-inputs";
import type { RolloutInputs } from "./rollout-inputs";
import type { RolloutRun } from "./rotation-engine";

/** Recorded from before the run to its end. Without a key the envelope says that it is unsigned. */
export function rolloutReport(wanted: RolloutInputs, before: Evidence | undefined, key: SigningKey | undefined) {
  const startedAt = Date.now();
  const recorder = stageRecorder();
  return {
    onEvent: recorder.onEvent,
    /** A DSSE envelope, as text. */
    envelope({ outcome, servers }: RolloutRun): string {
      const report = rotationReport({
        command: "pulumi up",
        cluster: describePlatform(wanted.platform),
        goal: { ...wanted.goal, servers: servers.map(({ name }) => name) },
        keyVersion: wanted.target === 0 ? undefined : wanted.target,
        startedAt,
        finishedAt: Date.now(),
        outcome,
        stages: recorder.stages(),
        before,
      });
      return JSON.stringify(sealPayload(reportText(report), key), undefined, 2);
    },
  };
}
