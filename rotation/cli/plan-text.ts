/** `kms-etcd plan` for people and for scripts. */
import { RewriteMethod } from "../../core/rewrite-method";
import { isAfter, RotationStage } from "../../core/rotation-stage";
import type { RotationPlan } from "../plan";
import type { Target } from "./look";
import { amount, duration, pairs, table } from "./table";

/** What is wanted, in words. */
export function targetText({ keyVersion }: Pick<Target, "keyVersion">): string {
  return keyVersion === undefined ? "identity (plaintext)" : `key version ${keyVersion}`;
}

/** What `--json` gives of a plan. What was observed stays out: configurations of local providers hold key material. */
export function planDocument(plan: RotationPlan, target: Target): Record<string, unknown> {
  const { changes, stages, warnings, blocked, basis, rewrite, kmsCalls } = plan;
  return {
    target: target.keyVersion ?? "identity",
    resources: target.goal.resources,
    advanceTo: target.goal.advanceTo,
    changes,
    stages,
    warnings,
    blocked,
    basis,
    rewriteBy: target.goal.rewriteBy ?? RewriteMethod.Patch,
    rewrite,
    kmsCalls,
    stored: (plan.observed.stored?.resources ?? []).map(({ resource, objects, bytes, keys, unknown }) => ({
      resource,
      objects,
      bytes,
      keys: keys.map(({ key, objects: count }) => ({ ...key, objects: count })),
      unknown,
    })),
  };
}

export function planText(plan: RotationPlan, target: Target): string {
  const { stages, warnings, blocked, changes, basis } = plan;
  const lines: string[] = [
    ...pairs([
      ["goal", targetText(target)],
      ["resources", target.goal.resources.join(", ")],
      ["stored now", storedText(plan)],
    ]),
  ];
  if (changes) {
    const total = stages.reduce((sum, stage) => sum + stage.expectedMs, 0);
    const restarts = stages.reduce((sum, stage) => sum + stage.restarts, 0);
    lines.push(
      "",
      ...table(["STAGE", "SERVERS", "RESTARTS", "OBJECTS", "KIB", "ABOUT", "BECAUSE"], rows(plan, target)),
      "",
      `about ${duration(total)}, ${restarts === 0 ? "no restart" : amount(restarts, "restart")}; ${basis}`,
      ...kmsText(plan),
      ...rewriteText(plan),
    );
  }
  for (const warning of warnings) lines.push(`warning: ${warning}`);
  if (blocked !== undefined) lines.push(`blocked: ${blocked.reason}`, `remedy:  ${blocked.remedy}`);
  if (!changes && blocked === undefined) lines.push("", `nothing to do: the cluster is at ${targetText(target)}`);
  return lines.join("\n");
}

function kmsText({ kmsCalls: { status, encrypt, decrypt } }: RotationPlan): readonly string[] {
  if (status + encrypt + decrypt === 0) return [];
  return [
    `calls to the KMS, about: ${status} Status, ${encrypt} Encrypt, ${decrypt} Decrypt (one data key a server and load)`,
  ];
}

function rewriteText({ rewrite }: RotationPlan): readonly string[] {
  if (rewrite === undefined) return [];
  const rows = rewrite.resources.map((entry) => [
    entry.resource,
    String(entry.objects),
    String(entry.stale),
    entry.bytes === undefined ? "-" : String(Math.ceil(entry.bytes / 1_024)),
    entry.mutatingWebhooks.join(", ") || "-",
    entry.validatingWebhooks.join(", ") || "-",
    entry.policies.join(", ") || "-",
  ]);
  return ["", ...table(["RESOURCE", "OBJECTS", "TO REWRITE", "KIB", "MUTATING", "VALIDATING", "POLICIES"], rows)];
}

function rows({ stages, blocked }: RotationPlan, { goal }: Target): readonly (readonly string[])[] {
  const acting = stages.map((stage): readonly [RotationStage, readonly string[]] => [
    stage.stage,
    [
      stage.stage,
      stage.servers.join(", ") || "-",
      stage.servers.length === 0 ? "-" : String(stage.restarts),
      stage.objects === undefined ? "-" : String(stage.objects),
      stage.bytes === undefined ? "-" : String(Math.ceil(stage.bytes / 1_024)),
      duration(stage.expectedMs),
      stage.summary,
    ],
  ]);
  // It only looks, so the plan of actions has no entry for it.
  const verifies = blocked === undefined && !isAfter(RotationStage.Verify, goal.advanceTo);
  const verify: readonly string[] = [
    RotationStage.Verify,
    "-",
    "-",
    "-",
    "-",
    "-",
    "every stored value is counted again",
  ];
  const at = acting.filter(([stage]) => !isAfter(stage, RotationStage.Verify)).length;
  const all = acting.map(([, row]) => row);
  return verifies ? [...all.slice(0, at), verify, ...all.slice(at)] : all;
}

function storedText({ observed }: RotationPlan): string {
  if (observed.stored === undefined) return "not known";
  return observed.stored.resources
    .map(({ resource, objects, keys, unknown }) => {
      const parts = keys.map(({ key, objects: count }) => `${count} ${key.keyId ?? key.provider}`);
      return `${objects} ${resource} (${[...parts, ...(unknown > 0 ? [`${unknown} not understood`] : [])].join(", ") || "none"})`;
    })
    .join("; ");
}
