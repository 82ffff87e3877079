/**
 * Property values on the wire and in the program. On the wire secrets and unknowns are wrapped in marks that the engine
 * defines (pulumi sdk go/common/resource/plugin/rpc.go); in the program they are plain values, `unknown`, and a list of names.
 */
import { type JavaScriptValue, Struct } from "google-protobuf/google/protobuf/struct_pb";

/** A value that is not known before the update, in previews only. */
export const unknown: unique symbol = Symbol("unknown");

export type PropertyValue =
  | null
  | boolean
  | number
  | string
  | typeof unknown
  | readonly PropertyValue[]
  | { readonly [name: string]: PropertyValue };

/** The properties of a resource. */
export type Properties = Readonly<Record<string, PropertyValue>>;

/** Properties and the paths of those that are secret, `keys[1].file`: they must be marked again on the way out. */
export interface MarkedProperties {
  readonly values: Properties;
  readonly secrets: ReadonlySet<string>;
}

const unknownMark = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";

/** Reads properties from the wire; nothing at all gives no properties. */
export function readProperties(struct: Struct | undefined): MarkedProperties {
  const secrets = new Set<string>();
  const values: Record<string, PropertyValue> = {};
  for (const [name, value] of Object.entries(struct?.toJavaScript() ?? {})) {
    values[name] = read(value, name, (path) => secrets.add(path));
  }
  return { values, secrets };
}

/** Writes properties for the wire; those whose paths are in `secrets` are marked, so that they are encrypted in state. */
export function writeProperties(values: Properties, secrets: ReadonlySet<string> = new Set()): Struct {
  return Struct.fromJavaScript(
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, write(value, name, secrets)])),
  );
}

/** Whether anything inside is not known yet. */
export function hasUnknown(value: PropertyValue | undefined): boolean {
  if (value === unknown) return true;
  if (Array.isArray(value)) return value.some(hasUnknown);
  return isObject(value) && Object.values(value).some(hasUnknown);
}

/** Whether a value is a list; `Array.isArray` would make its entries `any`. */
export function isList(value: PropertyValue | undefined): value is readonly PropertyValue[] {
  return Array.isArray(value);
}

/** Whether a value is an object with named properties. */
export function isObject(value: PropertyValue | undefined): value is Readonly<Record<string, PropertyValue>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function read(value: JavaScriptValue, path: string, onSecret: (path: string) => void): PropertyValue {
  if (value === unknownMark) return unknown;
  if (Array.isArray(value)) {
    return value.map((entry: JavaScriptValue, index) => read(entry, `${path}[${index}]`, onSecret));
  }
  if (typeof value !== "object" || value === null) return value;
  const fields = value as Record<string, JavaScriptValue>;
  if (fields[signatureKey] === secretSignature) {
    onSecret(path);
    // What is inside is secret with it.
    return read(fields["value"] ?? null, path, () => undefined);
  }
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, read(field, `${path}.${name}`, onSecret)]),
  );
}

function write(value: PropertyValue, path: string, secrets: ReadonlySet<string>): JavaScriptValue {
  const written = writePlain(value, path, secrets);
  return secrets.has(path) ? { [signatureKey]: secretSignature, value: written } : written;
}

function writePlain(value: PropertyValue, path: string, secrets: ReadonlySet<string>): JavaScriptValue {
  if (value === unknown) return unknownMark;
  if (isList(value)) return value.map((entry, index) => write(entry, `${path}[${index}]`, secrets));
  if (!isObject(value)) return value as JavaScriptValue;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, write(field, `${path}.${name}`, secrets)]),
  );
}
