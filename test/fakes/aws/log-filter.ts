/**
 * CloudWatch Logs' filter patterns for JSON, as far as the alarms' patterns go: `=` on texts with `*` as a wildcard, `&&`, `||` and
 * parentheses. Anything else throws, so that a new form gets its rule here first.
 */
const comparison = /\(\$\.([\w.[\]]+) = "([^"]*)"\)/g;

/** Whether `pattern` counts `event`, one record of CloudTrail. */
export function matchesFilter(pattern: string, event: object): boolean {
  const inside = /^\{ (.*) \}$/.exec(pattern)?.[1];
  if (inside === undefined) throw new Error(`no pattern for JSON: ${pattern}`);
  let text = inside.replace(comparison, (_all, path: string, wanted: string) =>
    isLike(valueAt(event, path), wanted) ? "T" : "F",
  );
  for (let before = ""; before !== text; ) {
    before = text;
    // Innermost parentheses first; AND binds tighter than OR.
    text = text.replace(/\(([TF|& ]+)\)/g, (_all, terms: string) => (isTrue(terms) ? "T" : "F"));
  }
  if (!/^[TF|& ]+$/.test(text)) throw new Error(`a form without a rule here: ${pattern}`);
  return isTrue(text);
}

function isTrue(terms: string): boolean {
  return terms.split("||").some((all) => all.split("&&").every((term) => term.trim() === "T"));
}

function valueAt(event: object, path: string): unknown {
  return path
    .split(/[.[\]]+/)
    .filter((name) => name !== "")
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], event);
}

function isLike(value: unknown, wanted: string): boolean {
  const parts = wanted.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return typeof value === "string" && new RegExp(`^${parts.join(".*")}$`).test(value);
}
