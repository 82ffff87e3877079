/** What `pulumi preview --json` says about the rollouts in a stack, and about the keys and vaults that a rollout depends on. */
import { typeTokens } from "../../core/type-tokens";
import { isRecord } from "./records";

export interface PreviewStep {
  /** As Pulumi names it: `create`, `update`, `delete`, `replace`, `same` and their variants. */
  readonly op: string;
  readonly name: string;
  readonly type: string;
  readonly oldState: Readonly<Record<string, unknown>>;
  readonly newState: Readonly<Record<string, unknown>>;
}

export interface PreviewDocument {
  readonly steps: readonly PreviewStep[];
  readonly diagnostics: readonly { readonly severity: string; readonly message: string; readonly name: string }[];
}

/** Undefined for a text that is no output of `pulumi preview --json`. */
export function readPreview(text: string): PreviewDocument | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(document)) return undefined;
  const { steps = [], diagnostics = [] } = document;
  // A preview that failed before its first step has diagnostics alone.
  if (!("steps" in document) && !("diagnostics" in document)) return undefined;
  if (!Array.isArray(steps) || !Array.isArray(diagnostics)) return undefined;
  return {
    steps: oneForEachResource(steps.filter(isRecord)),
    diagnostics: diagnostics.filter(isRecord).map((entry) => ({
      severity: textOf(entry["severity"]),
      message: readable(textOf(entry["message"])),
      name: nameOf(textOf(entry["urn"])),
    })),
  };
}

/** The resources that move a cluster from key to key, each on platforms of its own. */
const rollouts: readonly string[] = [
  typeTokens.encryptionRollout,
  typeTokens.aksKmsSettings,
  typeTokens.kopsKmsSettings,
];

export function isRollout({ type }: PreviewStep): boolean {
  return rollouts.includes(type);
}

/**
 * A resource that is refreshed first has two steps, and one that stays the same after it has the refresh alone.
 * Views are left out: they are rows of a rollout, not resources.
 */
function oneForEachResource(steps: readonly Readonly<Record<string, unknown>>[]): readonly PreviewStep[] {
  const byUrn = new Map<unknown, PreviewStep>();
  for (const raw of steps) {
    const step = readStep(raw);
    if (step === undefined || step.type === typeTokens.rotationPhase) continue;
    const refreshed = step.op === "refresh" || step.op === "read";
    if (refreshed && byUrn.has(raw["urn"])) continue;
    byUrn.set(raw["urn"], refreshed ? { ...step, op: "same" } : step);
  }
  return [...byUrn.values()];
}

function readStep(step: Readonly<Record<string, unknown>>): PreviewStep | undefined {
  const { op, urn, oldState, newState } = step;
  if (typeof op !== "string" || typeof urn !== "string") return undefined;
  // urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME
  const [, , types = ""] = urn.split("::");
  return {
    op,
    name: nameOf(urn),
    type: types.split("$").at(-1) ?? "",
    oldState: isRecord(oldState) ? oldState : {},
    newState: isRecord(newState) ? newState : {},
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function nameOf(urn: string): string {
  return urn.split("::").slice(3).join("::");
}

/** Without colours, and of a failed program what it threw and at which input, without its stack. */
function readable(message: string): string {
  const plain = message.replaceAll(/<\{%[^%]*%\}>|\u001b\[[\d;]*m/g, "");
  const [said = ""] = plain.split(/\n\s+at /);
  const input = /propertyPath: '([^']+)'/.exec(plain)?.[1];
  const text = said.replace(/^(warning|error): /, "").trim();
  return input === undefined ? text : text.replace(/InputPropert(y|ies)Error: /, `${input} `);
}
