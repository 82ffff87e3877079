/** The inputs of an EncryptionRollout as they are meant, with the defaults. */
import { pluginInstance } from "../../core/plugin-instance";
import type { RewriteMethod } from "../../core/rewrite-method";
import { RotationStage } from "../../core/rotation-stage";
import { defaultLimits, type Limits } from "../../rotation/goal";
import { hasUnknown, isObject, type Properties, type PropertyValue } from "../property-values";
import { type DeclaredKey, declaredKey } from "./declared-key";
import type { Platform } from "./platform";
import { platformOf } from "./platform-inputs";
import type { RolloutGoal } from "./rotation-engine";
import { upkeep } from "./upkeep-inputs";

/** The inputs as they are meant, with the defaults. */
export interface RolloutInputs {
  readonly platform: Platform;
  readonly keys: readonly DeclaredKey[];
  /** The version that should encrypt; 0 for plaintext. */
  readonly target: number;
  readonly goal: RolloutGoal;
}

/** Inputs in seconds, and the limits they set. */
export const limitNames: ReadonlyMap<string, keyof Limits> = new Map([
  ["reloadSeconds", "reload"],
  ["restartSeconds", "restart"],
  ["pluginSeconds", "plugin"],
  ["readySeconds", "ready"],
]);

/** What `inputs` without problems mean; undefined while something that decides it is not known yet. */
export function rolloutInputs(inputs: Properties): RolloutInputs | undefined {
  const { keys, ...rest } = inputs;
  const platform = platformOf(inputs);
  if (hasUnknown(rest) || platform === undefined || !Array.isArray(keys)) return undefined;
  const declared = keys.flatMap((entry: PropertyValue) => declaredKey(entry) ?? []);
  const active = declared.find((entry) => entry.version === inputs["keyVersion"]);
  if (active === undefined || declared.length !== keys.length) return undefined;
  const enabled = inputs["enabled"] !== false;
  return {
    platform,
    keys: declared,
    target: enabled ? active.version : 0,
    goal: {
      resources: (inputs["resources"] as readonly string[] | undefined) ?? ["secrets"],
      writer: enabled ? pluginInstance(active.key) : "identity",
      declared: declared.map((entry) => pluginInstance(entry.key)),
      allowPlaintextReads: inputs["allowPlaintextReads"] === true,
      ...(inputs["rewriteBy"] == null ? {} : { rewriteBy: inputs["rewriteBy"] as RewriteMethod }),
      advanceTo: (inputs["advanceTo"] as RotationStage | undefined) ?? RotationStage.Prune,
      limits: limitsOf(inputs["limits"]),
      ...upkeep(inputs, declared),
    },
  };
}

function limitsOf(given: PropertyValue | undefined): Limits {
  const seconds = isObject(given) ? given : {};
  const set = [...limitNames].flatMap(([input, limit]) => {
    const value = seconds[input];
    return typeof value === "number" ? [[limit, value * 1_000] as const] : [];
  });
  return { ...defaultLimits, ...Object.fromEntries(set) };
}
