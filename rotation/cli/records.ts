/** Reading objects of which nothing is known yet. */
import { type InputViolation, unknownInputViolations } from "../../core/input-rules";

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Names that nobody knows, with their whole path: a misspelt one would be passed over without a word. */
export function unknownNames(
  value: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path: string,
): readonly InputViolation[] {
  return unknownInputViolations(value, known).map((found) => ({
    ...found,
    path: path === "" ? found.path : `${path}.${found.path}`,
  }));
}
