/** Goals and keys for tests of the kOps engine. */
import { type PluginInstance, pluginInstance } from "../../../../core/plugin-instance";
import { RotationStage } from "../../../../core/rotation-stage";
import type { InstanceGroup } from "../../../../rotation/adapters/kops/cluster-spec";
import type { KopsGoal } from "../../../../rotation/adapters/kops/kops-decision";

const keyIds = [
  "1234abcd-12ab-34cd-56ef-1234567890ab",
  "2234abcd-12ab-34cd-56ef-1234567890ab",
  "3234abcd-12ab-34cd-56ef-1234567890ab",
];

export const keyArn = (version: number) => `arn:aws:kms:us-west-2:111122223333:key/${keyIds[version - 1] ?? ""}`;

export function awsPlugin(version: number): PluginInstance {
  return pluginInstance({ kind: "aws", keyArn: keyArn(version), region: "us-west-2" });
}

export function kopsGoal(version: number | "identity", more: Partial<KopsGoal> = {}): KopsGoal {
  return {
    resources: ["secrets"],
    writer: version === "identity" ? "identity" : awsPlugin(version),
    declared: [1, 2, 3].map(awsPlugin),
    allowPlaintextReads: false,
    advanceTo: RotationStage.Prune,
    image: { image: "registry.example/kms-etcd-plugin:1" },
    ...more,
  };
}

export function instanceGroups(controlPlanes: number, apiServers = 0): readonly InstanceGroup[] {
  const zone = (index: number) => `us-west-2${"abc"[index] ?? index}`;
  return [
    ...Array.from({ length: controlPlanes }, (_, index) => ({
      name: `control-plane-${zone(index)}`,
      role: "ControlPlane",
      fileAssets: [],
    })),
    ...Array.from({ length: apiServers }, (_, index) => ({
      name: `apiserver-${zone(index)}`,
      role: "APIServer",
      fileAssets: [],
    })),
    { name: "nodes", role: "Node", fileAssets: [] },
  ];
}
