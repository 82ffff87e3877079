/** Whether values are what the committed schema says: SDKs in other languages read outputs by it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isList, isObject, type PropertyValue } from "../../../provider/property-values";

interface PropertySpec {
  readonly type?: string;
  readonly $ref?: string;
  readonly items?: PropertySpec;
}

interface ObjectSpec {
  readonly properties?: Readonly<Record<string, PropertySpec>>;
  readonly required?: readonly string[];
  readonly enum?: readonly { readonly value: string }[];
}

const schema = JSON.parse(readFileSync(join(__dirname, "..", "..", "..", "provider", "schema.json"), "utf8")) as {
  readonly types: Readonly<Record<string, ObjectSpec>>;
  readonly resources: Readonly<Record<string, ObjectSpec>>;
};

/** What does not conform, by path; empty when all does. */
export function nonconforming(resourceType: string, outputs: PropertyValue): string[] {
  const spec = schema.resources[resourceType];
  return spec === undefined ? [`no resource ${resourceType}`] : objectProblems("", spec, outputs);
}

function objectProblems(path: string, spec: ObjectSpec, value: PropertyValue): string[] {
  if (spec.enum !== undefined) return spec.enum.some((entry) => entry.value === value) ? [] : [`${path} is no member`];
  if (!isObject(value)) return [`${path} is no object`];
  const known = spec.properties ?? {};
  const missing = (spec.required ?? []).filter((name) => !(name in value)).map((name) => `${path}.${name} is missing`);
  const problems = Object.entries(value).flatMap(([name, field]) => {
    const property = known[name];
    return property === undefined
      ? [`${path}.${name} is not in the schema`]
      : valueProblems(`${path}.${name}`, property, field);
  });
  return [...missing, ...problems];
}

function valueProblems(path: string, spec: PropertySpec, value: PropertyValue): string[] {
  if (spec.$ref !== undefined) {
    const referred = schema.types[spec.$ref.replace("#/types/", "")];
    return referred === undefined ? [`${spec.$ref} is not there`] : objectProblems(path, referred, value);
  }
  if (spec.type === "array") {
    const items = spec.items ?? {};
    return isList(value)
      ? value.flatMap((entry, index) => valueProblems(`${path}[${index}]`, items, entry))
      : [`${path} is no list`];
  }
  if (spec.type === "integer") return Number.isInteger(value) ? [] : [`${path} is no integer`];
  return typeof value === spec.type ? [] : [`${path} is no ${spec.type ?? "value"}`];
}
