/**
 * The form of a request's body: which properties there are, of which type, required, read-only or never to be changed. One
 * description serves the checks of the model and the translation between ARM's names and those of the azure-native SDK.
 */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

interface Flags {
  readonly required?: true;
  /** Set by the service. In a request it is ignored, so that what GET gave can be sent back by PUT. */
  readonly readOnly?: true;
  /** Can't be changed once it is set. */
  readonly immutable?: true;
  /** Comes in and never goes out. */
  readonly writeOnly?: true;
  /** The SDK shows what is inside as properties of the object around it. */
  readonly flat?: true;
  /** The SDK's name, where it has another one. */
  readonly sdkName?: string;
  /** Whether this version of the API has it. */
  readonly inVersion?: (apiVersion: string) => boolean;
}

export type Fields = Readonly<Record<string, Shape>>;

export type Shape = Flags &
  (
    | { readonly kind: "text"; readonly values?: readonly string[]; readonly anyCase?: true; readonly pattern?: RegExp }
    | { readonly kind: "flag" }
    | { readonly kind: "number"; readonly integer: boolean; readonly min: number; readonly max: number }
    | { readonly kind: "list"; readonly of: Shape }
    /** `sdkList`: the SDK takes a list of the keys. */
    | { readonly kind: "map"; readonly of: Shape; readonly sdkList?: true }
    | { readonly kind: "object"; readonly fields: Fields }
    /** Not looked into here; the second opinion does. */
    | { readonly kind: "json" }
  );

export const text = (pattern?: RegExp): Shape => (pattern === undefined ? { kind: "text" } : { kind: "text", pattern });
export const oneOf = (...values: readonly string[]): Shape => ({ kind: "text", values });
export const anyCaseOf = (...values: readonly string[]): Shape => ({ kind: "text", values, anyCase: true });
export const flag = (): Shape => ({ kind: "flag" });
export const integer = (min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER): Shape => ({
  kind: "number",
  integer: true,
  min,
  max,
});
export const decimal = (): Shape => ({ kind: "number", integer: false, min: -Infinity, max: Infinity });
export const list = (of: Shape): Shape => ({ kind: "list", of });
export const map = (of: Shape): Shape => ({ kind: "map", of });
export const object = (fields: Fields): Shape & { readonly fields: Fields } => ({ kind: "object", fields });
export const json = (): Shape => ({ kind: "json" });
export const required = <S extends Shape>(shape: S): S => ({ ...shape, required: true });
export const readOnly = <S extends Shape>(shape: S): S => ({ ...shape, readOnly: true });
export const immutable = <S extends Shape>(shape: S): S => ({ ...shape, immutable: true });
export const writeOnly = <S extends Shape>(shape: S): S => ({ ...shape, writeOnly: true });
export const flat = <S extends Shape>(shape: S): S => ({ ...shape, flat: true });
export const named = <S extends Shape>(sdkName: string, shape: S): S => ({ ...shape, sdkName });
export const inVersions = <S extends Shape>(inVersion: (apiVersion: string) => boolean, shape: S): S => ({
  ...shape,
  inVersion,
});
/** `{ id }`, as ARM refers to other resources. */
export const reference = (): Shape => object({ id: text() });
export const texts = (): Shape => list(text());
export const tags = (): Shape => map(text());

export interface ShapeProblem {
  readonly kind: "unknown" | "required" | "type" | "value";
  /** `properties.sku.name` */
  readonly path: string;
  readonly reason: string;
}

/** The body as the service takes it, without what is read-only, and all that is wrong with it. */
export function readBody(
  shape: Shape,
  body: Json,
  apiVersion: string,
): { readonly body: Json; readonly problems: readonly ShapeProblem[] } {
  const problems: ShapeProblem[] = [];
  return { body: read(shape, body, "", apiVersion, problems), problems };
}

function read(shape: Shape, value: Json, path: string, apiVersion: string, problems: ShapeProblem[]): Json {
  const refuse = (kind: ShapeProblem["kind"], reason: string): Json => {
    problems.push({ kind, path, reason });
    return value;
  };
  switch (shape.kind) {
    case "json":
      return value;
    case "flag":
      return typeof value === "boolean" ? value : refuse("type", "expected a Boolean");
    case "number":
      if (typeof value !== "number") return refuse("type", "expected a number");
      if (shape.integer && !Number.isInteger(value)) return refuse("type", "expected an integer");
      return value < shape.min || value > shape.max
        ? refuse("value", `must be between ${shape.min} and ${shape.max}`)
        : value;
    case "text": {
      if (typeof value !== "string") return refuse("type", "expected a string");
      const { values, pattern } = shape;
      const known = values?.some((candidate) =>
        shape.anyCase === true ? candidate.toLowerCase() === value.toLowerCase() : candidate === value,
      );
      if (known === false) return refuse("value", `'${value}' is none of ${values?.join(", ") ?? ""}`);
      return pattern !== undefined && !pattern.test(value) ? refuse("value", `'${value}' is malformed`) : value;
    }
    case "list":
      if (!isList(value)) return refuse("type", "expected an array");
      return value.map((entry, index) => read(shape.of, entry, `${path}[${index}]`, apiVersion, problems));
    case "map":
      if (!isObject(value)) return refuse("type", "expected an object");
      return Object.fromEntries(
        Object.entries(value).map(([name, entry]) => [
          name,
          read(shape.of, entry, `${path}.${name}`, apiVersion, problems),
        ]),
      );
    case "object":
      if (!isObject(value)) return refuse("type", "expected an object");
      return readFields(shape.fields, value, path, apiVersion, problems);
  }
}

function readFields(
  fields: Fields,
  value: JsonObject,
  path: string,
  apiVersion: string,
  problems: ShapeProblem[],
): JsonObject {
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const kept: Record<string, Json> = {};
  for (const [name, entry] of Object.entries(value)) {
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (field === undefined || field.inVersion?.(apiVersion) === false) {
      problems.push({ kind: "unknown", path: at(name), reason: `api-version ${apiVersion} has no such property` });
      continue;
    }
    // JSON merge semantics are not ARM's: null in a PUT is the same as leaving it out.
    if (field.readOnly === true || entry === null) continue;
    kept[name] = read(field, entry, at(name), apiVersion, problems);
  }
  for (const [name, field] of Object.entries(fields)) {
    if (field.required === true && !(name in kept) && field.inVersion?.(apiVersion) !== false) {
      problems.push({ kind: "required", path: at(name), reason: "is required" });
    }
  }
  return kept;
}

/** Paths whose value may not change and is another one in `after`. What `after` leaves out stays as it was. */
export function changedImmutables(shape: Shape, before: Json, after: Json, path = ""): string[] {
  if (shape.immutable === true) return sameJson(before, after) ? [] : [path];
  if (shape.kind !== "object" || !isObject(before) || !isObject(after)) return [];
  return Object.entries(shape.fields).flatMap(([name, field]) => {
    const [old, next] = [before[name], after[name]];
    return old === undefined || next === undefined
      ? []
      : changedImmutables(field, old, next, path === "" ? name : `${path}.${name}`);
  });
}

/** Without what comes in and never goes out, and without what this version of the API does not know. */
export function visible(shape: Shape, value: Json, apiVersion: string): Json {
  if (shape.kind === "list" && isList(value)) return value.map((entry) => visible(shape.of, entry, apiVersion));
  if (shape.kind !== "object" || !isObject(value)) return value;
  const kept: Record<string, Json> = {};
  for (const [name, entry] of Object.entries(value)) {
    const field = shape.fields[name];
    if (field?.writeOnly === true || field?.inVersion?.(apiVersion) === false) continue;
    kept[name] = field === undefined ? entry : visible(field, entry, apiVersion);
  }
  return kept;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** What stands at `path`; undefined where there is nothing. */
export function at(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  return path.reduce<Json | undefined>((inner, name) => (isObject(inner) ? inner[name] : undefined), value);
}

/** The text at `path`; empty where there is none. */
export function textAt(value: Json | undefined, ...path: readonly string[]): string {
  const found = at(value, ...path);
  return typeof found === "string" ? found : "";
}

/** Whether two values are the same, whatever the order of their properties. */
export function sameJson(left: Json | undefined, right: Json | undefined): boolean {
  if (isList(left) && isList(right)) {
    return left.length === right.length && left.every((entry, index) => sameJson(entry, right[index]));
  }
  if (isObject(left) && isObject(right)) {
    const names = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...names].every((name) => sameJson(left[name], right[name]));
  }
  return left === right;
}
