/** One resource of the stand-in: Check, Diff, Create, Read, Update and Delete on plain values, by requests to ARM. */
import { createHash } from "node:crypto";
import { KmsEtcdError } from "../../../core/errors";
import { changedProperties, type PropertyChanges, topLevelNames } from "../../../provider/property-diff";
import { hasUnknown, isObject, type Properties, type PropertyValue, unknown } from "../../../provider/property-values";
import { type CheckProblem, InitFailed } from "../../../provider/resource";
import type { Fields, Json, JsonObject, Shape } from "../arm/shape";
import { type ArmClient, ArmRefusal } from "./arm-client";
import { type NativeType, pathArguments } from "./native-types";
import { asInputs, fromArm, missingNames, previewOutputs, toArm, unknownNames } from "./sdk-shape";

export interface NativeState {
  readonly id: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
}

export interface NativeDiff {
  readonly changes: PropertyChanges;
  readonly replaces: ReadonlySet<string>;
  readonly deleteBeforeReplace: boolean;
}

export interface NativeResource {
  check(
    olds: Properties | undefined,
    news: Properties,
    name: string,
    seed: Uint8Array,
  ): Promise<{ inputs: Properties; problems: CheckProblem[] }>;
  diff(state: NativeState, news: Properties): NativeDiff;
  create(inputs: Properties, preview: boolean, signal: AbortSignal): Promise<{ id: string; outputs: Properties }>;
  /** Undefined when it is gone. */
  read(state: NativeState, signal: AbortSignal): Promise<NativeState | undefined>;
  update(state: NativeState, inputs: Properties, preview: boolean, signal: AbortSignal): Promise<Properties>;
  delete(state: NativeState, signal: AbortSignal): Promise<void>;
}

export function createNativeResource(
  type: NativeType,
  client: ArmClient,
  location: string | undefined,
): NativeResource {
  const shape = type.arm.shape;
  const inputShape: Shape & { readonly fields: Fields } =
    type.nestedInput === true
      ? {
          ...shape,
          fields: Object.fromEntries(Object.entries(shape.fields).map(([name, field]) => [name, unflattened(field)])),
        }
      : shape;
  const names = pathArguments(type);
  const ownName = names.at(-1) ?? "";
  const inPath = new Set(names);
  const place: Shape | undefined = shape.fields["location"];
  const hasLocation = place !== undefined && place.readOnly !== true;

  /** ARM's body of the inputs, without those that stand in the path. */
  const bodyOf = (inputs: Properties): JsonObject => toArm(inputShape, bodyInputs(inputs)) as JsonObject;
  // Some types have an argument in the path and one of the same name in the body.
  const bodyInputs = (inputs: Properties): Properties =>
    Object.fromEntries(Object.entries(inputs).filter(([name]) => !inPath.has(name)));
  const outputsOf = (body: JsonObject): Properties => {
    const { id: _, ...outputs } = fromArm(shape, body) as Properties;
    return { ...outputs, azureApiVersion: type.apiVersion };
  };

  /** What is known before anything is made: the inputs, and of the rest that it will be there. */
  function plannedOutputs(inputs: Properties): Properties {
    const { id: _, ...outputs } = previewOutputs(shape, flattenedForPreview(type, bodyInputs(inputs))) as Properties;
    return { ...outputs, azureApiVersion: type.apiVersion };
  }

  async function find(id: string, signal: AbortSignal): Promise<JsonObject | undefined> {
    try {
      return await client.get(id, type.apiVersion, signal);
    } catch (thrown) {
      throw refused(id, thrown);
    }
  }

  function pathOf(inputs: Properties): string {
    const path = type.path.replace(/\{(\w+)\}/g, (_match, name: string) =>
      name === "subscriptionId" ? client.credentials.subscriptionId : textOf(inputs[name]),
    );
    return path.replace(/^\/+/, "/");
  }

  async function write(id: string, inputs: Properties, signal: AbortSignal): Promise<Properties> {
    let body = bodyOf(inputs);
    if (type.keeps !== undefined) {
      const known = await client.get(id, type.apiVersion, signal);
      body = keeping(body, known, type.keeps);
    }
    try {
      await client.send("PUT", id, type.apiVersion, body, signal);
    } catch (thrown) {
      const left = thrown instanceof ArmRefusal ? await client.get(id, type.apiVersion, signal) : undefined;
      const failed = left !== undefined && stateOf(left) === "Failed";
      if (failed && thrown instanceof ArmRefusal) throw new InitFailed(id, outputsOf(left), [thrown.message]);
      throw refused(id, thrown);
    }
    const made = await client.get(id, type.apiVersion, signal);
    if (made === undefined) throw new KmsEtcdError("not-found", `${id} was written and is not there`);
    return outputsOf(made);
  }

  return {
    async check(olds, news, name, seed) {
      const inputs: Record<string, PropertyValue> = { ...news };
      inputs[ownName] ??= olds?.[ownName] ?? madeName(type, name, seed);
      for (const [field, value] of Object.entries(inputs)) if (value === null) Reflect.deleteProperty(inputs, field);
      const group = inputs["resourceGroupName"];
      if (hasLocation && inputs["location"] === undefined && place.required === true) {
        const default_ = olds?.["location"] ?? location ?? (await groupLocation(group));
        if (default_ !== undefined) inputs["location"] = default_;
      }
      const problems = [
        ...names
          .filter((argument) => inputs[argument] === undefined)
          .map((path) => ({ path, reason: "missing required property" })),
        ...unknownNames(inputShape, bodyInputs(inputs)).map((path) => ({
          path,
          reason: `${type.token} has no property '${path}' at API version ${type.apiVersion}`,
        })),
        ...missingNames(inputShape, bodyInputs(inputs)).map((path) => ({ path, reason: "missing required property" })),
      ];
      return { inputs, problems };
    },
    diff({ id, inputs: olds }, news) {
      const changes = changedProperties(olds, news);
      const fixed = [...names, ...(hasLocation ? ["location"] : []), ...(type.replaceOn ?? [])];
      const replaces = new Set(
        [...changes.keys()].filter((path) =>
          fixed.some((name) => path === name || path.startsWith(`${name}.`) || path.startsWith(`${name}[`)),
        ),
      );
      const samePlace = names.every((name) => typeof news[name] === "string") && pathOf(news) === id;
      return { changes, replaces, deleteBeforeReplace: replaces.size > 0 && samePlace };
    },
    async create(inputs, preview, signal) {
      if (preview) return { id: "", outputs: plannedOutputs(inputs) };
      requireKnown(inputs);
      const id = pathOf(inputs);
      if ((await find(id, signal)) !== undefined) {
        throw new KmsEtcdError("conflict", `cannot create already existing resource '${id}'`);
      }
      return { id, outputs: await write(id, inputs, signal) };
    },
    async read({ id, inputs, outputs }, signal) {
      const body = await find(id, signal);
      if (body === undefined) return undefined;
      const seen = outputsOf(body);
      if (Object.keys(inputs).length === 0)
        return { id, inputs: importedInputs(type, inputShape, id, body), outputs: seen };
      return { id, inputs: refreshedInputs(shape, inputs, outputs, seen), outputs: seen };
    },
    async update({ id, outputs }, inputs, preview, signal) {
      if (preview) {
        const planned: Record<string, PropertyValue> = { ...plannedOutputs(inputs) };
        // What the service has set does not change by an update, as far as a preview can tell.
        for (const [name, value] of Object.entries(outputs)) if (planned[name] === unknown) planned[name] = value;
        return planned;
      }
      requireKnown(inputs);
      return write(id, inputs, signal);
    },
    async delete({ id, inputs }, signal) {
      try {
        if (type.deletedByKeyVault === true) {
          await client.deleteKey(textOf(inputs["vaultName"]), textOf(inputs["keyName"]));
          return;
        }
        await client.send("DELETE", id, type.apiVersion, undefined, signal);
      } catch (thrown) {
        if (thrown instanceof ArmRefusal && thrown.status === 404) return;
        throw refused(id, thrown);
      }
    },
  };

  async function groupLocation(group: PropertyValue | undefined): Promise<PropertyValue | undefined> {
    if (group === unknown) return unknown;
    if (typeof group !== "string") return undefined;
    const path = `/subscriptions/${client.credentials.subscriptionId}/resourceGroups/${group}`;
    const found = await client.get(path, "2024-03-01");
    return found === undefined ? undefined : textOf(found["location"]);
  }
}

function unflattened(shape: Shape): Shape {
  const { flat: _, ...rest } = shape;
  return rest;
}

/** Inputs in the form of outputs, where the two differ. */
function flattenedForPreview(type: NativeType, inputs: Properties): Properties {
  if (type.nestedInput !== true) return inputs;
  const { properties, ...rest } = inputs;
  return { ...rest, ...(isObject(properties) ? properties : {}) };
}

/** `kms` becomes `kms1a2b3c4d`; a role assignment's name is a GUID. */
function madeName(type: NativeType, name: string, seed: Uint8Array): string {
  const hash = createHash("sha256").update(type.token).update(name).update(seed).digest("hex");
  if (type.naming === "uuid") return hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, "$1-$2-$3-$4-$5");
  return `${name}${hash.slice(0, 8)}`;
}

/** Of ARM's `properties` what the body leaves out and another resource may have made. */
function keeping(body: JsonObject, known: JsonObject | undefined, names: readonly string[]): JsonObject {
  const [before, after] = [known?.["properties"], body["properties"]];
  if (typeof before !== "object" || before === null || Array.isArray(before)) return body;
  const inner = (after ?? {}) as JsonObject;
  const kept = names.filter((name) => !(name in inner) && name in before);
  return {
    ...body,
    properties: { ...inner, ...Object.fromEntries(kept.map((name) => [name, (before as JsonObject)[name] ?? null])) },
  };
}

/** The inputs with what has changed in Azure since, as a refresh shows it. */
function refreshedInputs(shape: Shape, inputs: Properties, before: Properties, after: Properties): Properties {
  const [old, now] = [asInputs(shape, before) as Properties, asInputs(shape, after) as Properties];
  const changed = new Set(topLevelNames(changedProperties(old, now)));
  const valueOf = (name: string, value: PropertyValue): PropertyValue => {
    const next = now[name];
    return changed.has(name) && next !== undefined ? merged(value, old[name], next) : value;
  };
  const given = Object.entries(inputs).map(([name, value]) => [name, valueOf(name, value)] as const);
  // What nobody has declared, and somebody has set since, comes into the inputs too.
  const added = [...changed].flatMap((name) => {
    const next = now[name];
    return name in inputs || next === undefined ? [] : [[name, next] as const];
  });
  return Object.fromEntries([...given, ...added]);
}

/** Changes only what is different in Azure, and leaves alone what the service fills in. */
function merged(input: PropertyValue, old: PropertyValue | undefined, now: PropertyValue): PropertyValue {
  if (!isObject(input) || !isObject(now)) return now;
  const before: Properties = isObject(old) ? old : {};
  const changed = new Set(topLevelNames(changedProperties(before, now)));
  const result: Record<string, PropertyValue> = {};
  for (const name of new Set([...Object.keys(input), ...changed])) {
    const value: PropertyValue | undefined = input[name];
    const next: PropertyValue | undefined = now[name];
    if (!changed.has(name)) {
      if (value !== undefined) result[name] = value;
    } else if (next !== undefined) {
      result[name] = value === undefined ? next : merged(value, before[name], next);
    }
  }
  return result;
}

function importedInputs(type: NativeType, shape: Shape, id: string, body: JsonObject): Properties {
  const pattern = new RegExp(
    `^${type.path.replace(/^\/\{(\w+)\}/, "/{$1*}").replace(/\{(\w+)(\*?)\}/g, (_match, name: string, all: string) => `(?<${name}>${all === "*" ? ".+" : "[^/]+"})`)}$`,
    "i",
  );
  const { subscriptionId: _, ...found } = { ...pattern.exec(id)?.groups };
  return { ...(asInputs(shape, fromArm(shape, body)) as Properties), ...found };
}

function requireKnown(inputs: Properties): void {
  const name = Object.entries(inputs).find(([, value]) => hasUnknown(value))?.[0];
  if (name !== undefined) throw new KmsEtcdError("internal", `${name} is not known when the resource is made`);
}

function refused(id: string, thrown: unknown): unknown {
  if (!(thrown instanceof ArmRefusal)) return thrown;
  const code =
    thrown.status === 403
      ? "permission-denied"
      : thrown.status === 409 || thrown.status === 412
        ? "conflict"
        : "invalid-input";
  return new KmsEtcdError(code, `${id}: ${thrown.message}`);
}

function stateOf(body: JsonObject): Json | undefined {
  const { properties } = body;
  return typeof properties === "object" && properties !== null && "provisioningState" in properties
    ? properties["provisioningState"]
    : undefined;
}

function textOf(value: PropertyValue | undefined): string {
  return typeof value === "string" ? value.replace(/^\//, "") : "";
}
