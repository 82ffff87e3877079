/**
 * Between the SDK's values and ARM's bodies. The SDK shows the contents of many `properties` objects one level up, gives some
 * names another spelling, and takes identities as a list: all of that is said in the shapes of the model.
 */
import { isList, isObject, type PropertyValue, unknown } from "../../../provider/property-values";
import type { Fields, Json, JsonObject, Shape } from "../arm/shape";

interface Place {
  /** Where it is in ARM's object: the name, or the flattened object's name and the name. */
  readonly armPath: readonly string[];
  readonly shape: Shape;
}

/** The SDK's properties of an object, by name. */
export function sdkFields(fields: Fields): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  for (const [name, shape] of Object.entries(fields)) {
    if (shape.flat === true && shape.kind === "object") {
      for (const [inner, place] of sdkFields(shape.fields)) {
        if (!places.has(inner)) places.set(inner, { ...place, armPath: [name, ...place.armPath] });
      }
    }
  }
  for (const [name, shape] of Object.entries(fields)) {
    if (shape.flat !== true) places.set(shape.sdkName ?? name, { armPath: [name], shape });
  }
  return places;
}

/** What the shape does not have, by path. What is not known yet can't be looked into. */
export function unknownNames(shape: Shape, value: PropertyValue, path = ""): string[] {
  if (value === unknown || value === null) return [];
  if (shape.kind === "list" && isList(value)) {
    return value.flatMap((entry, index) => unknownNames(shape.of, entry, `${path}[${index}]`));
  }
  if (shape.kind !== "object" || !isObject(value)) return [];
  const fields = sdkFields(shape.fields);
  return Object.entries(value).flatMap(([name, entry]) => {
    const inner = path === "" ? name : `${path}.${name}`;
    const place = fields.get(name);
    return place === undefined || place.shape.readOnly === true ? [inner] : unknownNames(place.shape, entry, inner);
  });
}

/** Properties that are required and not there, by path. */
export function missingNames(shape: Shape, value: PropertyValue, path = ""): string[] {
  if (value === unknown || value === null) return [];
  if (shape.kind === "list" && isList(value)) {
    return value.flatMap((entry, index) => missingNames(shape.of, entry, `${path}[${index}]`));
  }
  if (shape.kind !== "object" || !isObject(value)) return [];
  return [...sdkFields(shape.fields)].flatMap(([name, { shape: field }]) => {
    const inner = path === "" ? name : `${path}.${name}`;
    const entry = value[name];
    if (entry === undefined) return field.required === true && field.readOnly !== true ? [inner] : [];
    return missingNames(field, entry, inner);
  });
}

/** ARM's body of SDK values that are all known. */
export function toArm(shape: Shape, value: PropertyValue): Json {
  if (value === unknown) throw new Error("a value is not known yet");
  if (shape.kind === "map" && shape.sdkList === true && isList(value)) {
    return Object.fromEntries(value.map((entry) => [typeof entry === "string" ? entry : "", {}]));
  }
  if (shape.kind === "list" && isList(value)) return value.map((entry) => toArm(shape.of, entry));
  if (shape.kind === "map" && isObject(value)) {
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, toArm(shape.of, entry)]));
  }
  if (shape.kind !== "object" || !isObject(value)) return value as Json;
  const fields = sdkFields(shape.fields);
  const body: Record<string, Json> = {};
  for (const [name, entry] of Object.entries(value)) {
    const place = fields.get(name);
    if (place === undefined || entry === null) continue;
    put(body, place.armPath, toArm(place.shape, entry));
  }
  return body;
}

function put(body: Record<string, Json>, [first = "", ...rest]: readonly string[], value: Json): void {
  if (rest.length === 0) {
    body[first] = value;
    return;
  }
  const inner = (body[first] ??= {}) as Record<string, Json>;
  put(inner, rest, value);
}

/** The SDK's outputs of ARM's body. What the shape does not have is left out, as the plugin does. */
export function fromArm(shape: Shape, value: Json): PropertyValue {
  if (shape.kind === "list" && Array.isArray(value)) return (value as Json[]).map((entry) => fromArm(shape.of, entry));
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value as PropertyValue;
  const object = value as JsonObject;
  if (shape.kind === "map") {
    return Object.fromEntries(Object.entries(object).map(([name, entry]) => [name, fromArm(shape.of, entry)]));
  }
  if (shape.kind !== "object") return value;
  const outputs: Record<string, PropertyValue> = {};
  for (const [name, place] of sdkFields(shape.fields)) {
    if (place.shape.writeOnly === true) continue;
    const found = place.armPath.reduce<Json | undefined>(
      (inner, step) =>
        typeof inner === "object" && inner !== null && !Array.isArray(inner) ? (inner as JsonObject)[step] : undefined,
      object,
    );
    if (found !== undefined) outputs[name] = fromArm(place.shape, found);
  }
  return outputs;
}

/** What a preview says of the outputs: the inputs, and of the rest that it is not known. */
export function previewOutputs(shape: Shape, inputs: PropertyValue | undefined): PropertyValue {
  if (inputs === undefined || inputs === unknown) return unknown;
  if (shape.kind === "map" && shape.sdkList === true) return unknown;
  if (shape.kind === "list" && isList(inputs)) return inputs.map((entry) => previewOutputs(shape.of, entry));
  if (shape.kind !== "object" || !isObject(inputs)) return inputs;
  const outputs: Record<string, PropertyValue> = {};
  for (const [name, place] of sdkFields(shape.fields)) {
    if (place.shape.writeOnly !== true) outputs[name] = previewOutputs(place.shape, inputs[name]);
  }
  return outputs;
}

/** Outputs as inputs: what a program would have to say for them. */
export function asInputs(shape: Shape, outputs: PropertyValue): PropertyValue {
  if (shape.kind === "map" && shape.sdkList === true && isObject(outputs)) return Object.keys(outputs);
  if (shape.kind === "list" && isList(outputs)) return outputs.map((entry) => asInputs(shape.of, entry));
  if (shape.kind !== "object" || !isObject(outputs)) return outputs;
  const fields = sdkFields(shape.fields);
  const inputs: Record<string, PropertyValue> = {};
  for (const [name, entry] of Object.entries(outputs)) {
    const place = fields.get(name);
    if (place !== undefined && place.shape.readOnly !== true) inputs[name] = asInputs(place.shape, entry);
  }
  return inputs;
}
