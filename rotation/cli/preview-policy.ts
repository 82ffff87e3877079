/** What must not be merged without a second look: rules over a preview, each with a name that a pipeline can show. */
import { isAfter, RotationStage, rotationStages } from "../../core/rotation-stage";
import { isRollout, type PreviewDocument, type PreviewStep } from "./preview-document";
import { isRecord } from "./records";

export interface PolicyViolation {
  readonly rule: "unguarded-deletion" | "unverified-data" | "key-age";
  readonly resource: string;
  readonly reason: string;
  readonly remedy: string;
}

export interface PolicyLimits {
  /** The oldest that the key that encrypts may be, in days; undefined: any age. */
  readonly maxKeyAgeDays?: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Types whose deletion can make stored data unreadable. */
const holdsKeys =
  /^(kms-etcd:index:LocalKey|azure-native:keyvault(\/v\d+\w*)?:(Vault|Key|ManagedHsm)|aws:kms\/(key|replicaKey):\w+)$/;

export function policyViolations(preview: PreviewDocument, limits: PolicyLimits): readonly PolicyViolation[] {
  return preview.steps.flatMap((step) => [
    ...unguardedDeletion(step),
    ...(isRollout(step) ? [...unverifiedData(step), ...oldKey(step, limits)] : []),
  ]);
}

function unguardedDeletion({ op, type, name, oldState }: PreviewStep): readonly PolicyViolation[] {
  const deletes = ["delete", "replace", "delete-replaced"].includes(op);
  if (!deletes || !holdsKeys.test(type) || oldState["retainOnDelete"] === true) return [];
  return [
    {
      rule: "unguarded-deletion",
      resource: name,
      reason: `${op} of a ${type}: what is stored under it can't be read afterwards`,
      remedy: "keep it declared, or set retainOnDelete and run `pulumi up` once before it leaves the program",
    },
  ];
}

function unverifiedData(step: PreviewStep): readonly PolicyViolation[] {
  const { op, name } = step;
  if (op === "delete") return [];
  const inputs = record(step.newState["inputs"]);
  const pending = planOf(step).length > 0;
  const stage = rotationStages.find((known) => known === inputs["advanceTo"]) ?? RotationStage.Prune;
  if (pending && isAfter(RotationStage.Verify, stage)) {
    return [
      {
        rule: "unverified-data",
        resource: name,
        reason: `advanceTo is ${stage}, so the rollout ends before what is stored has been verified`,
        remedy: "raise advanceTo to Verify or Prune, here or in the change that follows",
      },
    ];
  }
  const outputs = record(step.oldState["outputs"]);
  const evidence = record(outputs["evidence"]);
  if (pending || outputs["evidence"] === undefined || evidence["complete"] === true) return [];
  const encrypts = inputs["enabled"] !== false;
  if (!encrypts && evidence["method"] !== "none") return [];
  return [
    {
      rule: "unverified-data",
      resource: name,
      reason: "the last look did not see every stored object under the active key, and this change does not mend it",
      remedy: "run `pulumi refresh`, then a preview: it plans what is missing, or says what stands in the way",
    },
  ];
}

function oldKey(step: PreviewStep, { maxKeyAgeDays, now }: PolicyLimits): readonly PolicyViolation[] {
  const inputs = record(step.newState["inputs"]);
  if (maxKeyAgeDays === undefined || inputs["enabled"] === false || step.op === "delete") return [];
  const keys = Array.isArray(inputs["keys"]) ? inputs["keys"].map(record) : [];
  const active = keys.find((key) => key["version"] === inputs["keyVersion"]);
  const createdAt = typeof active?.["createdAt"] === "string" ? Date.parse(active["createdAt"]) : Number.NaN;
  if (Number.isNaN(createdAt)) return [];
  const days = Math.floor((now - createdAt) / 86_400_000);
  if (days <= maxKeyAgeDays) return [];
  return [
    {
      rule: "key-age",
      resource: step.name,
      reason: `the key that encrypts (version ${String(inputs["keyVersion"])}) is ${days} days old, more than ${maxKeyAgeDays}`,
      remedy: "raise keyVersion by one: that makes a new key and rotates to it",
    },
  ];
}

/** The lines of a rollout's plan; none where nothing is pending. */
export function planOf(step: PreviewStep): readonly string[] {
  const plan = record(step.newState["inputs"])["plan"];
  const changes = ["create", "update", "replace", "create-replacement"].includes(step.op);
  return changes && Array.isArray(plan) ? plan.filter((line) => typeof line === "string") : [];
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}
