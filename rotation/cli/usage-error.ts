/** A command line or configuration file that cannot be used: everything that is wrong with it, at once. */
import type { InputViolation } from "../../core/input-rules";

export class UsageError extends Error {
  readonly violations: readonly InputViolation[];

  constructor(violations: readonly InputViolation[]) {
    super(violations.map(({ path, reason }) => `${path} ${reason}`).join("\n"));
    this.name = "UsageError";
    this.violations = violations;
  }
}

/** A value that was read, or what is wrong with it. */
export type Reading<T> = { readonly value: T } | { readonly violations: readonly InputViolation[] };

export function violation(path: string, reason: string): { readonly violations: readonly InputViolation[] } {
  return { violations: [{ path, reason }] };
}

/** Where an input stands: what messages call it, and the directory that its relative paths start from. */
export interface Place {
  readonly path: string;
  readonly base: string;
}
