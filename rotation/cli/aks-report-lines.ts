/** The report of a change to a cluster of AKS, as `kms-etcd verify-report` prints it. */
import type { AksEvidence } from "../adapters/aks/aks-evidence";
import type { AksReport, AksReportedSettings, AksReportedState, AksReportedStep } from "../adapters/aks/aks-report";
import { amount } from "./table";

export function aksReportLines(report: AksReport): readonly string[] {
  const { command, cluster, goal, outcome, startedAt, finishedAt, before, after, steps, evidence } = report;
  return [
    `${command} of ${cluster} to ${settingsLine(goal)}: ${outcome.kind}${outcome.reason === undefined ? "" : ` (${outcome.reason})`}`,
    `from ${startedAt} to ${finishedAt}`,
    ...(before === undefined ? [] : [`before: ${stateLine(before)}`]),
    ...steps.flatMap((step, index) => [
      `${index + 1}. ${stepLine(step)}`,
      ...(step.problems ?? []).map((problem) => `   ${problem}`),
    ]),
    `after: ${stateLine(after)}`,
    ...(evidence === undefined ? notProven(report) : proofLines(evidence, report.rewrittenBy)).map(
      (line) => `  ${line}`,
    ),
  ];
}

function settingsLine({ mode, keyId, vaultNetworkAccess }: AksReportedSettings): string {
  const key = keyId === undefined ? "" : ` with ${keyId}`;
  return `${mode}${key}${vaultNetworkAccess === undefined ? "" : `, vault ${vaultNetworkAccess}`}`;
}

function stateLine({ provisioningState, settings }: AksReportedState): string {
  return `${settingsLine(settings)}, by ARM's word (provisioningState ${provisioningState})`;
}

function stepLine(step: AksReportedStep): string {
  const { kind, settings, vaultNetworkAccess, finishedAt, provenUnder, secrets, storedAgain, passes } = step;
  const end = finishedAt === undefined ? ": not finished" : "";
  if (kind === "set") return `set ${settings === undefined ? "" : settingsLine(settings)}${end}`;
  if (kind === "vault") return `vault becomes ${vaultNetworkAccess ?? ""}${end}`;
  if (secrets === undefined) return `rewrite${end === "" ? ": it proves nothing" : end}`;
  const counts = `${amount(secrets, "Secret")}, ${storedAgain ?? 0} stored again in ${passes === 1 ? "one pass" : `${passes ?? 0} passes`}`;
  return `rewrite: ${counts}, proven under ${provenUnder ?? "nothing"}`;
}

function proofLines(evidence: AksEvidence, rewrittenBy: string): readonly string[] {
  const { resources, method, complete, provenAt, discovery } = evidence;
  const stored = resources.map(({ resource, objects, keys }) => {
    const parts = keys.map((key) => `${key.objects} under ${key.keyId ?? key.provider}`);
    return `${resource}: ${amount(objects, "object")}${parts.length === 0 ? "" : `, ${parts.join(", ")}`}`;
  });
  const verdict = complete ? "proven complete" : "nothing was proven about what is stored";
  return [...stored, `${verdict}${method === "api" ? `: ${rewrittenBy}` : ""}, ${provenAt}`, discovery];
}

function notProven({ provenEarlier }: AksReport): readonly string[] {
  if (provenEarlier === undefined) return ["nothing was proven about what is stored"];
  const { provenAt, digest } = provenEarlier;
  return [`no rewrite was needed; proven by an earlier run, ${provenAt}, whose evidence has the digest ${digest}`];
}
