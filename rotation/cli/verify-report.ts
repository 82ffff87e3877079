/** `kms-etcd verify-report`: whether a report is what the holder of a key has signed, and what it says. */
import { readFile } from "node:fs/promises";
import { KmsEtcdError } from "../../core/errors";
import type { AksReport } from "../adapters/aks/aks-report";
import { openEnvelope, readPublicKey } from "../report/envelope";
import type { RotationReport } from "../report/report";
import { aksReportLines } from "./aks-report-lines";
import { ExitCode } from "./exit-code";
import { jsonText } from "./json-text";
import { evidenceLines } from "./run-command";
import type { Terminal } from "./terminal";

export interface VerifyReportFlags {
  readonly publicKey: string;
  readonly json?: boolean;
}

export async function verifyReport(file: string, flags: VerifyReportFlags, terminal: Terminal): Promise<ExitCode> {
  const key = readPublicKey(await readText(flags.publicKey), flags.publicKey);
  const { payload, problem } = openEnvelope(await readText(file), key, file);
  const report = parseReport(payload, file);
  if (flags.json) {
    terminal.print(jsonText({ trusted: problem === undefined, problem, keyId: key.keyId, report }));
  } else terminal.print([verdictLine(problem, key.keyId), ...linesOf(report)].join("\n"));
  return problem === undefined ? ExitCode.Ok : ExitCode.Untrusted;
}

function verdictLine(problem: string | undefined, keyId: string): string {
  return problem === undefined ? `good: signed with ${keyId}` : `not to be trusted: ${problem}; it says:`;
}

function linesOf(report: RotationReport | AksReport): readonly string[] {
  return "platform" in report ? aksReportLines(report) : reportLines(report);
}

function reportLines({ command, cluster, goal, startedAt, finishedAt, outcome, before, after }: RotationReport) {
  const lines = [
    `${command} of ${cluster} to ${goal.key}: ${outcome.kind}${outcome.reason === undefined ? "" : ` (${outcome.reason})`}`,
    `from ${startedAt} to ${finishedAt}`,
  ];
  if (before !== undefined) lines.push("before:", ...evidenceLines(before).map((line) => `  ${line}`));
  return [...lines, "after:", ...evidenceLines(after).map((line) => `  ${line}`)];
}

function parseReport(payload: string, file: string): RotationReport | AksReport {
  let report: { readonly formatVersion?: unknown; readonly platform?: string };
  try {
    report = JSON.parse(payload) as typeof report;
  } catch {
    throw new KmsEtcdError("invalid-input", `${file} is no report: its payload is not JSON`);
  }
  if (report.formatVersion !== 1) {
    throw new KmsEtcdError("unsupported", `${file} has format version ${String(report.formatVersion)}`, {
      remedy: "use the version of kms-etcd that wrote it; this one knows 1",
    });
  }
  if (report.platform !== undefined && report.platform !== "aks") {
    throw new KmsEtcdError("unsupported", `${file} is about a platform ${report.platform}`, {
      remedy: "use the version of kms-etcd that wrote it; this one knows aks",
    });
  }
  return report as unknown as RotationReport | AksReport;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("not-found", `${file} cannot be read (${code})`, { cause: thrown });
  }
}
