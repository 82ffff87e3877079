/** One resource type of the stand-in: its inputs as the real plugin's schema has them, and what AWS says to them. */
import { isList, isObject, type Properties, type PropertyValue, unknown } from "../../../provider/property-values";

export interface AwsInput {
  readonly kind: "text" | "number" | "boolean" | "texts" | "map" | "object" | "objects";
  readonly required?: boolean;
  /** A change makes another resource. */
  readonly fixed?: boolean;
}

export interface AwsProblem {
  readonly path: string;
  readonly reason: string;
}

/** What exists in the account, by id. */
export interface AwsState {
  readonly id: string;
  readonly inputs: Properties;
  readonly outputs: Properties;
}

export interface AwsType {
  readonly inputs: Readonly<Record<string, AwsInput>>;
  /** Defaults of the plugin; `name` is the resource's own, for names that the plugin makes. */
  defaults?(inputs: Properties, name: string): Properties;
  /** What the plugin or AWS refuses, once the form is right and everything is known. */
  problems?(inputs: Properties): readonly AwsProblem[];
  /** Names of outputs that are known only when it exists. */
  readonly computed: readonly string[];
  /** Makes it; throws where AWS refuses. */
  create(inputs: Properties): { id: string; outputs: Properties };
  update?(state: AwsState, inputs: Properties): Properties;
  delete(state: AwsState): void;
}

/** Unknown and misspelt inputs, missing ones, and values of another kind: the plugin's own check. */
export function formProblems(type: AwsType, inputs: Properties): readonly AwsProblem[] {
  const known = Object.keys(type.inputs);
  return [
    ...Object.keys(inputs)
      .filter((name) => type.inputs[name] === undefined)
      .map((path) => ({ path, reason: `unexpected argument; known are ${known.join(", ")}` })),
    ...Object.entries(type.inputs).flatMap(([path, { kind, required }]): AwsProblem[] => {
      const value = inputs[path];
      if (value === undefined || value === null)
        return required === true ? [{ path, reason: "missing required argument" }] : [];
      return value === unknown || isOf(kind, value) ? [] : [{ path, reason: `expected ${kind}` }];
    }),
  ];
}

function isOf(kind: AwsInput["kind"], value: PropertyValue): boolean {
  const isText = (entry: PropertyValue) => typeof entry === "string" || entry === unknown;
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "boolean":
      return typeof value === "boolean";
    case "texts":
      return isList(value) && value.every(isText);
    case "map":
      return isObject(value) && Object.values(value).every(isText);
    case "object":
      return isObject(value);
    case "objects":
      return isList(value) && value.every((entry) => isObject(entry) || entry === unknown);
  }
}

/** A text input, empty where it is not there. */
export function text(inputs: Properties, name: string): string {
  const value = inputs[name];
  return typeof value === "string" ? value : "";
}
