/** The blocks that say whose etcd it is: what is wrong with one, and the cluster that it means. Another platform is another entry. */
import { isAbsolute } from "node:path";
import { hasUnknown, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";
import type { Platform } from "./rotation-engine";

interface PlatformBlock {
  problems(block: Properties): readonly CheckProblem[];
  /** `block` has no problems and nothing unknown. */
  read(block: Properties): Platform;
}

const blocks: Readonly<Record<string, PlatformBlock>> = {
  local: {
    problems: (block) => {
      const file = block["controlPlaneFile"];
      if (file === unknown || (typeof file === "string" && isAbsolute(file))) return [];
      const reason = "is not an absolute path; name the control-plane.json of a control plane";
      return [{ path: "local.controlPlaneFile", reason }];
    },
    read: (block) => ({ kind: "local", controlPlaneFile: block["controlPlaneFile"] as string }),
  },
};

/** What is wrong inside the given block. That there is exactly one is checked elsewhere. */
export function platformProblems(inputs: Properties): readonly CheckProblem[] {
  return Object.entries(blocks).flatMap(([name, block]) => {
    const value = inputs[name];
    if (value === undefined || value === null || value === unknown) return [];
    return block.problems(isObject(value) ? value : {});
  });
}

/** The cluster that inputs without problems mean; undefined while it is not known yet. */
export function platformOf(inputs: Properties): Platform | undefined {
  const given = Object.entries(blocks).flatMap(([name, block]): readonly (Platform | undefined)[] => {
    const value: PropertyValue | undefined = inputs[name];
    if (value === undefined || value === null) return [];
    return [isObject(value) && !hasUnknown(value) ? block.read(value) : undefined];
  });
  return given[0];
}

/** What messages call the cluster. The same text is the same cluster. */
export function describePlatform(platform: Platform): string {
  return platform.controlPlaneFile;
}
