/**
 * Rules about Azure inputs that are checked before anything is changed: one a known mistake, with a fixed id. They are pure. Each names
 * the facts that it reads, and is passed over, not guessed at, while one of them is not known before the update.
 */
import type { InputViolation } from "../input-rules";
import type { AzureFacts, FactName } from "./facts";

/** Stands for the value of an input that is not known in this preview. */
export const notYetKnown: unique symbol = Symbol("not yet known");

/** Facts by name. Left out means: there is no such input. */
export type GivenFacts = { readonly [Name in FactName]?: AzureFacts[Name] | typeof notYetKnown };

/** What is wrong, and what to write instead. */
export interface Problem<Name extends FactName = FactName> {
  /** The fact to change. */
  readonly at: Name;
  readonly reason: string;
  readonly remedy: string;
}

export interface AzureRule {
  /** From the matrix of docs/azure.md. People look it up: never reuse one. */
  readonly id: string;
  /** A warning is for what may be right all the same. */
  readonly level: "error" | "warning";
  readonly reads: readonly FactName[];
  /** Called only when every fact that it reads is known or left out. */
  readonly check: (facts: Partial<AzureFacts>) => Problem | undefined;
}

/** A rule whose check sees only what it says it reads. */
export function rule<Name extends FactName>(
  id: string,
  level: AzureRule["level"],
  reads: readonly Name[],
  check: (facts: Pick<Partial<AzureFacts>, Name>) => Problem<Name> | undefined,
): AzureRule {
  return { id, level, reads, check };
}

/** A rule's finding, at the property path that the user has written. */
export interface Finding {
  readonly id: string;
  readonly level: AzureRule["level"];
  readonly path: string;
  readonly reason: string;
  readonly remedy: string;
}

/** What a check of many rules has found, and what it could not look at. */
export interface Findings {
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** Rules that were passed over, each with the paths that are not known yet. */
  readonly skipped: readonly { readonly id: string; readonly paths: readonly string[] }[];
}

/** Property paths of facts, where they differ from the fact's name. */
export type FactPaths = Partial<Readonly<Record<FactName, string>>>;

/** Checks `rules` on `facts`. The order of the findings is the order of the rules. */
export function checkRules(rules: readonly AzureRule[], facts: GivenFacts, paths: FactPaths = {}): Findings {
  const found: Finding[] = [];
  const skipped: { id: string; paths: string[] }[] = [];
  for (const { id, level, reads, check } of rules) {
    const unseen = reads.filter((name) => facts[name] === notYetKnown);
    if (unseen.length > 0) {
      skipped.push({ id, paths: unseen.map((name) => paths[name] ?? name) });
      continue;
    }
    const problem = check(facts as Partial<AzureFacts>);
    if (problem === undefined) continue;
    found.push({
      id,
      level,
      path: paths[problem.at] ?? problem.at,
      reason: problem.reason,
      remedy: problem.remedy,
    });
  }
  return {
    errors: found.filter((finding) => finding.level === "error"),
    warnings: found.filter((finding) => finding.level === "warning"),
    skipped,
  };
}

/** A finding as a violation of an input, with its id for looking it up. */
export function violationOf(finding: Finding): InputViolation {
  return { path: finding.path, reason: `${finding.reason}; ${finding.remedy} (rule ${finding.id})` };
}

/** One sentence about the rules that were passed over; undefined when there were none. */
export function describeSkipped(skipped: Findings["skipped"]): string | undefined {
  if (skipped.length === 0) return undefined;
  const paths = [...new Set(skipped.flatMap((entry) => entry.paths))].sort();
  const ids = [...new Set(skipped.map((entry) => entry.id))].join(", ");
  return `not known before the update: ${paths.join(", ")}; the update itself checks what depends on it (rules ${ids})`;
}
