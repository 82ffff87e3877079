/** What must not be merged without a second look: rules over a preview, each with a name that a pipeline can show. */
import { isAfter, RotationStage, rotationStages } from "../../core/rotation-stage";
import { typeTokens } from "../../core/type-tokens";
import { isRollout, type PreviewDocument, type PreviewStep } from "./preview-document";
import { isRecord } from "./records";

export interface PolicyViolation {
  readonly rule: "unguarded-deletion" | "unverified-data" | "unfinished" | "key-age";
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
    ...(isRollout(step) ? [...unverifiedData(step), ...unfinished(step), ...oldKey(step, limits)] : []),
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
  // Of keys that AKS itself uses it writes the Secrets again by itself, and nobody else can see how far it is.
  if (inputs["mode"] !== undefined && inputs["mode"] !== "KmsPlugin") return [];
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

/** A change of a cluster of AKS that is seen to stop on its way has a line that says so. */
function unfinished(step: PreviewStep): readonly PolicyViolation[] {
  return planOf(step).flatMap((line) => {
    const reason = /^\d+\. Stop: (.*)$/s.exec(line)?.[1];
    const remedy = "do that first, then look at the preview again";
    return reason === undefined ? [] : [{ rule: "unfinished", resource: step.name, reason, remedy }];
  });
}

/** Where `--max-key-age` can say nothing, and why: silence would be taken for a young key. */
export function unknownAges({ steps }: PreviewDocument, { maxKeyAgeDays }: PolicyLimits): readonly string[] {
  if (maxKeyAgeDays === undefined) return [];
  return steps.filter(isRollout).flatMap((step) => {
    const inputs = record(step.newState["inputs"]);
    const key = activeKey(step);
    // Of a key in a file that this very change makes the time is left out, because it is not known yet.
    const isKnown = key?.["createdAt"] !== undefined || key?.["local"] !== undefined;
    if (inputs["enabled"] === false || step.op === "delete" || isKnown) return [];
    const why =
      step.type === typeTokens.aksKmsSettings
        ? "a preview does not have it for clusters of AKS: give the key an expiry (`keyExpiry`), which previews look at"
        : "the program does not ask for it: set `policy.maximumKeyAgeDays` there";
    return [`the age of ${step.name}'s key was not held against ${maxKeyAgeDays} days: ${why}`];
  });
}

function activeKey({ newState }: PreviewStep): Readonly<Record<string, unknown>> | undefined {
  const inputs = record(newState["inputs"]);
  const keys = Array.isArray(inputs["keys"]) ? inputs["keys"].map(record) : [];
  return keys.find((key) => key["version"] === inputs["keyVersion"]);
}

function oldKey(step: PreviewStep, { maxKeyAgeDays, now }: PolicyLimits): readonly PolicyViolation[] {
  const inputs = record(step.newState["inputs"]);
  if (maxKeyAgeDays === undefined || inputs["enabled"] === false || step.op === "delete") return [];
  const made = activeKey(step)?.["createdAt"];
  const createdAt = typeof made === "string" ? Date.parse(made) : Number.NaN;
  // One that is made by this very change is not known yet.
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
