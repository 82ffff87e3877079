/** A pull request's comment about a preview: the rotation as a table, what to look out for, and what must not be merged. */
import { isRollout, type PreviewDocument, type PreviewStep } from "./preview-document";
import { type PolicyViolation, planOf } from "./preview-policy";

/** Pipelines find the comment of an earlier run by this line, and replace it. */
export const commentMarker = "<!-- kms-etcd preview -->";

/** `notes`: what a rule could not see. */
export function previewMarkdown(
  preview: PreviewDocument,
  violations: readonly PolicyViolation[],
  notes: readonly string[] = [],
): string {
  const rollouts = preview.steps.filter(isRollout);
  const errors = preview.diagnostics.filter(({ severity }) => severity === "error");
  const warned = preview.diagnostics.filter(({ severity, name }) => severity === "warning" && name !== "");
  const warnings = [...notes, ...warned.map(({ message }) => message)];
  const sections = [
    commentMarker,
    `## etcd encryption: ${verdict(rollouts, violations, errors.length)}`,
    ...violations.map(({ rule, resource, reason, remedy }) =>
      admonition("CAUTION", `**${rule}** (\`${resource}\`): ${text(reason)}.\nTo do: ${text(remedy)}.`),
    ),
    ...errors.map(({ name, message }) => admonition("CAUTION", `${at(name)}${text(message)}`)),
    ...(errors.length > 0 ? [] : rollouts.map(rolloutSection)),
    ...(warnings.length === 0 ? [] : [admonition("WARNING", warnings.map(text).join("\n\n"))]),
    changesLine(preview),
  ];
  return `${sections.join("\n\n")}\n`;
}

function verdict(rollouts: readonly PreviewStep[], violations: readonly PolicyViolation[], errors: number): string {
  if (errors > 0) return "the preview failed";
  if (violations.length > 0) return `${violations.length} ${violations.length === 1 ? "rule" : "rules"} violated`;
  const stages = rollouts.reduce((sum, step) => sum + rowsOf(planOf(step)).length, 0);
  if (rollouts.some(({ op }) => op === "delete")) return "a cluster leaves the stack";
  if (stages > 0) return `${stages} ${stages === 1 ? "stage" : "stages"} to carry out`;
  return rollouts.length === 0 ? "nothing in this stack" : "no change";
}

function rolloutSection(step: PreviewStep): string {
  const rows = rowsOf(planOf(step));
  const title = `### \`${step.name}\``;
  if (step.op === "delete") {
    return `${title}\n\nLeaves the stack. The cluster keeps its settings as they are: nothing is decrypted, nothing is deleted.`;
  }
  if (rows.length === 0) return `${title}\n\nNothing to carry out.`;
  const head = ["| stage | what happens | where, and what it costs |", "|---|---|---|"];
  return [title, "", ...head, ...rows.map(rowLine)].join("\n");
}

interface Row {
  readonly stage: string;
  readonly what: string;
  readonly details: readonly string[];
}

/**
 * `Read: every API server can decrypt …; on cp1, cp2; no restart; about 60 s`. On AKS steps have numbers, because they may come again:
 * `1. Rewrite: …`. On kOps a stage has several lines, of which the first says what it is for.
 */
function rowsOf(lines: readonly string[]): readonly Row[] {
  const rows: Row[] = [];
  for (const line of lines) {
    const [, stage = "", rest = line] = /^((?:\d+\. )?\w+): (.*)$/s.exec(line) ?? [];
    const last = rows.at(-1);
    if (last?.stage === stage) {
      rows.splice(-1, 1, { ...last, details: [...last.details, rest] });
      continue;
    }
    const [what = "", ...costs] = rest.split("; ");
    rows.push({ stage, what, details: costs.length === 0 ? [] : [costs.join("; ")] });
  }
  return rows;
}

function rowLine({ stage, what, details }: Row): string {
  return `| ${stage} | ${cell(what)} | ${details.map(cell).join("<br>") || "only looks"} |`;
}

function changesLine({ steps }: PreviewDocument): string {
  const counts = new Map<string, number>();
  for (const { op } of steps.filter((step) => step.op !== "same")) counts.set(op, (counts.get(op) ?? 0) + 1);
  return `Resources: ${[...counts].map(([op, count]) => `${count} to ${op}`).join(", ") || "no change"}.`;
}

function admonition(kind: "CAUTION" | "WARNING", body: string): string {
  return [`[!${kind}]`, ...body.trimEnd().split("\n")].map((line) => `> ${line}`.trimEnd()).join("\n");
}

function at(name: string): string {
  return name === "" ? "" : `\`${name}\`: `;
}

/** A cell ends at a bar or a line break. */
function cell(value: string): string {
  return text(value)
    .replaceAll("|", "\\|")
    .replaceAll(/\s*\n\s*/g, " ");
}

/** Names in a preview are the authors' own, and a comment is read by others: nothing in it may become HTML or a mention. */
function text(value: string): string {
  return value.trim().replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("@", "&#64;");
}
