/** The blocks that say whose etcd it is: what is wrong with one, and the cluster that it means. Another platform is another entry. */
import { isAbsolute } from "node:path";
import { describeKopsCluster, isSameKopsCluster } from "../../core/kops-cluster";
import { kopsCluster, kopsViolations } from "../../core/kops-inputs";
import { describeSelfManagedCluster, isSameSelfManagedCluster } from "../../core/self-managed-cluster";
import { selfManagedCluster, selfManagedViolations } from "../../core/self-managed-inputs";
import { hasUnknown, isObject, type Properties, type PropertyValue, unknown } from "../property-values";
import type { CheckProblem } from "../resource";
import type { Platform } from "./platform";

interface PlatformBlock {
  problems(block: Properties): readonly CheckProblem[];
  /** `block` has no problems and nothing unknown. */
  read(block: Properties): Platform;
  /** Paths inside the block. */
  readonly secrets?: readonly string[];
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
  selfManaged: {
    problems: (block) => selfManagedViolations(block, "selfManaged"),
    read: (block) => ({ kind: "selfManaged", cluster: selfManagedCluster(block) }),
    secrets: ["ssh.privateKey", "ssh.passphrase", "kubernetes.kubeconfig"],
  },
  kops: {
    problems: (block) => kopsViolations(block, "kops"),
    read: (block) => ({ kind: "kops", cluster: kopsCluster(block) }),
    secrets: ["kubeconfig", "jumpHost.privateKey", "jumpHost.passphrase"],
  },
};

/** Paths of the inputs that the state must hold as secrets, whoever gave them as plain values. */
export const secretPlatformInputs: readonly string[] = Object.entries(blocks).flatMap(([name, { secrets = [] }]) =>
  secrets.map((path) => `${name}.${path}`),
);

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

/** What messages call the cluster. */
export function describePlatform(platform: Platform): string {
  switch (platform.kind) {
    case "local":
      return platform.controlPlaneFile;
    case "selfManaged":
      return describeSelfManagedCluster(platform.cluster);
    case "kops":
      return describeKopsCluster(platform.cluster);
  }
}

/** Whether both are one cluster. */
export function isSamePlatform(a: Platform, b: Platform): boolean {
  if (a.kind === "selfManaged" && b.kind === "selfManaged") return isSameSelfManagedCluster(a.cluster, b.cluster);
  if (a.kind === "kops" && b.kind === "kops") return isSameKopsCluster(a.cluster, b.cluster);
  return a.kind === b.kind && describePlatform(a) === describePlatform(b);
}
