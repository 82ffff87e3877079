/** Goals and keys for tests of the engine. */
import { type PluginInstance, pluginInstance } from "../../core/plugin-instance";
import { RotationStage } from "../../core/rotation-stage";
import { defaultLimits, type Goal } from "../../rotation/goal";

export function keyVersion(version: number): PluginInstance {
  return pluginInstance({ kind: "local", file: `/keys/v${version}.key`, keyId: `local-${version}` });
}

export function goalFor(version: number | "identity", servers: readonly string[], more: Partial<Goal> = {}): Goal {
  return {
    resources: ["secrets"],
    writer: version === "identity" ? "identity" : keyVersion(version),
    declared: [1, 2, 3].map(keyVersion),
    allowPlaintextReads: false,
    advanceTo: RotationStage.Prune,
    servers,
    limits: defaultLimits,
    ...more,
  };
}
