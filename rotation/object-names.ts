/** Keeps objects' names out of what is stored: reasons of a stopped run end up in Pulumi's state (design: never object names). */

/** The text with etcd keys, API paths of objects, and quoted names replaced by an ellipsis. */
export function withoutObjectNames(text: string): string {
  return text
    .replace(/\/registry\/[^\s"',;:)]+/g, "/registry/…")
    .replace(/(\/namespaces\/)[^\s"',;:)]+/g, "$1…")
    .replace(/\b([a-z][a-z0-9.-]*) \\?"[^"\\]+\\?"/g, '$1 "…"');
}
