/** A pull request's comment about a preview: the rotation as a table, what to look out for, and what must not be merged. */
import { isRollout, type PreviewDocument, type PreviewStep } from "./preview-document";
import { type PolicyViolation, planOf } from "./preview-policy";

/** Pipelines find the comment of an earlier run by this line, and replace it. */
export const commentMarker = "<!-- kms-etcd preview -->";

export function previewMarkdown(preview: PreviewDocument, violations: readonly PolicyViolation[]): string {
  const rollouts = preview.steps.filter(isRollout);
  const errors = preview.diagnostics.filter(({ severity }) => severity === "error");
  const warnings = preview.diagnostics.filter(({ severity, name }) => severity === "warning" && name !== "");
  const sections = [
    commentMarker,
    `## etcd encryption: ${verdict(rollouts, violations, errors.length)}`,
    ...violations.map(({ rule, resource, reason, remedy }) =>
      admonition("CAUTION", `**${rule}** (\`${resource}\`): ${text(reason)}.\nTo do: ${text(remedy)}.`),
    ),
    ...errors.map(({ name, message }) => admonition("CAUTION", `${at(name)}${text(message)}`)),
    ...(errors.length > 0 ? [] : rollouts.map(rolloutSection)),
    ...(warnings.length === 0
      ? []
      : [admonition("WARNING", warnings.map(({ message }) => text(message)).join("\n\n"))]),
    changesLine(preview),
  ];
  return `${sections.join("\n\n")}\n`;
}

function verdict(rollouts: readonly PreviewStep[], violations: readonly PolicyViolation[], errors: number): string {
  if (errors > 0) return "the preview failed";
  if (violations.length > 0) return `${violations.length} ${violations.length === 1 ? "rule" : "rules"} violated`;
  const stages = rollouts.reduce((sum, step) => sum + planOf(step).length, 0);
  if (rollouts.some(({ op }) => op === "delete")) return "a cluster leaves the stack";
  if (stages > 0) return `${stages} ${stages === 1 ? "stage" : "stages"} to carry out`;
  return rollouts.length === 0 ? "nothing in this stack" : "no change";
}

function rolloutSection(step: PreviewStep): string {
  const lines = planOf(step);
  const title = `### \`${step.name}\``;
  if (step.op === "delete") {
    return `${title}\n\nLeaves the stack. The cluster keeps its settings as they are: nothing is decrypted, nothing is deleted.`;
  }
  if (lines.length === 0) return `${title}\n\nNothing to carry out.`;
  return [title, "", "| stage | what happens | where, and what it costs |", "|---|---|---|", ...lines.map(row)].join(
    "\n",
  );
}

/** `Read: every API server can decrypt …; on cp1, cp2; no restart; about 60 s` */
function row(line: string): string {
  const [, stage = "", rest = line] = /^(\w+): (.*)$/s.exec(line) ?? [];
  const [what = "", ...costs] = rest.split("; ");
  return `| ${stage} | ${cell(what)} | ${cell(costs.join("; ")) || "only looks"} |`;
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
