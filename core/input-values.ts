/**
 * What the value of an input can be before anybody knows that it is right: nothing, a block, or not known yet. The rules of
 * every block start from here.
 */
import type { InputViolation } from "./input-rules";

export type InputBlock = Readonly<Record<string, unknown>>;

export function isBlock(value: unknown): value is InputBlock {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

/** What Pulumi does not know yet is a symbol in the provider. */
export function isUnknown(value: unknown): boolean {
  return typeof value === "symbol";
}

/** Without what was left out or set to nothing. */
export function withoutAbsent<T extends object>(block: T): T {
  return Object.fromEntries(Object.entries(block).filter(([, value]) => !isAbsent(value))) as T;
}

/** Violations of a part, with the part's own path in front. */
export function below(path: string, violations: readonly InputViolation[]): readonly InputViolation[] {
  return violations.map((violation) => ({ ...violation, path: `${path}.${violation.path}` }));
}

export function booleanViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value) || typeof value === "boolean") return [];
  return [{ path, reason: `is ${JSON.stringify(value)}; write true or false` }];
}

/** The violations of a block that may be left out. */
export function optionalBlock(
  value: unknown,
  path: string,
  violations: (block: InputBlock, path: string) => readonly InputViolation[],
): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  return isBlock(value) ? violations(value, path) : [{ path, reason: "is not an object" }];
}

/** `what` is what the text says, for the message. */
export function textViolations(block: InputBlock, name: string, path: string, what: string): readonly InputViolation[] {
  const value = block[name];
  if (isUnknown(value) || (typeof value === "string" && value.trim() !== "")) return [];
  return [{ path: `${path}.${name}`, reason: `is missing; give ${what}` }];
}

/** The value is not shown: it may be a secret. */
export function optionalTextViolations(block: InputBlock, name: string, path: string): readonly InputViolation[] {
  const value = block[name];
  if (isAbsent(value) || isUnknown(value) || (typeof value === "string" && value !== "")) return [];
  return [{ path: `${path}.${name}`, reason: "is no text; write one, or leave it out" }];
}

export function textsViolations(value: unknown, path: string): readonly InputViolation[] {
  if (isAbsent(value) || isUnknown(value)) return [];
  if (Array.isArray(value) && value.every((entry) => isUnknown(entry) || typeof entry === "string")) return [];
  return [{ path, reason: "is no list of texts" }];
}
