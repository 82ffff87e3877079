/** What a change to a cluster of AKS leaves behind for an auditor, as an output. */
import type { AksRequest, AksSeen } from "../../rotation/adapters/aks/aks-engine";
import type { AksEvidence } from "../../rotation/adapters/aks/aks-evidence";
import {
  type AksReport,
  type AksReportedOutcome,
  aksReport,
  aksReportText,
  stepRecorder,
} from "../../rotation/adapters/aks/aks-report";
import { type SigningKey, sealPayload } from "../../rotation/report/envelope";

/** How the run has ended, and what is known of the cluster then. */
export interface AksRunEnd {
  readonly outcome: AksReportedOutcome;
  readonly after: AksSeen;
  readonly evidence?: AksEvidence | undefined;
  readonly provenEarlier?: AksReport["provenEarlier"];
}

/** Recorded from before the run to its end. Without a key the envelope says that it is unsigned. */
export function aksRunReport(
  request: AksRequest,
  keyVersion: number | undefined,
  before: AksSeen | undefined,
  key: SigningKey | undefined,
) {
  const startedAt = Date.now();
  const recorder = stepRecorder(Date.now);
  return {
    onEvent: recorder.onEvent,
    /** A DSSE envelope, as text. */
    envelope({ outcome, after, evidence, provenEarlier }: AksRunEnd): string {
      const report = aksReport({
        command: "pulumi up",
        request,
        keyVersion,
        startedAt,
        finishedAt: Date.now(),
        outcome,
        steps: recorder.steps(),
        before,
        after,
        evidence,
        provenEarlier,
      });
      return JSON.stringify(sealPayload(aksReportText(report), key), undefined, 2);
    },
  };
}
