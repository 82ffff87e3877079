/** What `--json` prints: a property that is not known is there as null, so that scripts need not ask whether it is there. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, entry: unknown) => (entry === undefined ? null : entry), 2);
}
