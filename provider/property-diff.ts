/** What differs between two sets of inputs, as the property paths and kinds of a detailed diff. */
import { isList, isObject, type Properties, type PropertyValue } from "./property-values";

export type PropertyChange = "add" | "delete" | "update";

/** Changes by property path, for example `limits.reloadSeconds` or `keys[1]`. */
export type PropertyChanges = ReadonlyMap<string, PropertyChange>;

export function changedProperties(olds: Properties, news: Properties): PropertyChanges {
  const changes = new Map<string, PropertyChange>();
  compareObjects("", olds, news, changes);
  return changes;
}

/** The top-level names of `changes`: what the engine wants as `diffs`; full paths there would blank its display. */
export function topLevelNames(changes: PropertyChanges): readonly string[] {
  return [...new Set([...changes.keys()].map((path) => path.split(/[.[]/, 1)[0] ?? path))];
}

function compareObjects(
  prefix: string,
  olds: Properties,
  news: Properties,
  changes: Map<string, PropertyChange>,
): void {
  for (const name of new Set([...Object.keys(olds), ...Object.keys(news)])) {
    compare(prefix === "" ? name : `${prefix}.${name}`, olds[name], news[name], changes);
  }
}

function compare(
  path: string,
  before: PropertyValue | undefined,
  after: PropertyValue | undefined,
  changes: Map<string, PropertyChange>,
): void {
  if (before === after) return;
  if (before === undefined || before === null) {
    if (after !== undefined && after !== null) changes.set(path, "add");
  } else if (after === undefined || after === null) {
    changes.set(path, "delete");
  } else if (isList(before) && isList(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index += 1) {
      compare(`${path}[${index}]`, before[index], after[index], changes);
    }
  } else if (isObject(before) && isObject(after)) {
    compareObjects(path, before, after, changes);
  } else {
    changes.set(path, "update");
  }
}
