/** The plan of a rollout as lines for `pulumi preview --diff`: a stage each, with what it touches and what it costs. */
import { isAfter, RotationStage, rotationStages } from "../../core/rotation-stage";
import type { PlannedStage, RotationPlan } from "../../rotation/plan";
import type { ForecastResource } from "../../rotation/rewrite-forecast";
import type { RolloutInputs } from "./rollout-inputs";

/** The stages that a run would enter. VERIFY only looks, so the plan of actions has no entry for it. */
export function plannedStages(
  plan: { readonly stages: readonly { readonly stage: RotationStage }[] },
  { goal }: { readonly goal: Pick<RolloutInputs["goal"], "advanceTo"> },
): readonly RotationStage[] {
  const acting = new Set(plan.stages.map((entry) => entry.stage));
  const verifies = [RotationStage.Write, RotationStage.Rewrite, RotationStage.Prune].some((stage) => acting.has(stage));
  return rotationStages.filter(
    (stage) => acting.has(stage) || (stage === RotationStage.Verify && verifies && !isAfter(stage, goal.advanceTo)),
  );
}

export function planLines(plan: RotationPlan, inputs: RolloutInputs): readonly string[] {
  const key = keyName(inputs);
  return plannedStages(plan, inputs).map((stage) => {
    const planned = plan.stages.find((entry) => entry.stage === stage);
    return [
      `${stage}: ${purpose(stage, key, inputs.target === 0)}`,
      ...(planned === undefined ? [] : costs(planned)),
      ...(stage === RotationStage.Rewrite ? rewriteCosts(plan) : []),
      ...(stage === RotationStage.Prune ? upkeepParts(inputs) : []),
    ].join("; ");
  });
}

/** What lines call the key that encrypts. */
export function keyName({ target }: Pick<RolloutInputs, "target">): string {
  return target === 0 ? "no key (plaintext)" : `key version ${target}`;
}

/** What is done before and after PRUNE, on request. */
function upkeepParts({ goal }: RolloutInputs): readonly string[] {
  const { etcdSnapshot, compact, retire = [] } = goal;
  const versions = retire.map(({ version }) => version).join(", ");
  return [
    ...(etcdSnapshot === undefined ? [] : [`before it a snapshot of etcd is kept in ${etcdSnapshot.directory}`]),
    ...(compact === undefined ? [] : ["then etcd forgets what was overwritten, and its members are defragmented"]),
    ...(versions === "" ? [] : [`then the key of version ${versions} is retired`]),
  ];
}

/** Counts and the names of webhooks; objects' names would stay in the state. */
export function rewriteCosts({ rewrite, kmsCalls }: Pick<RotationPlan, "rewrite" | "kmsCalls">): readonly string[] {
  if (rewrite === undefined) return [];
  const resources = rewrite.resources.map(({ resource, objects, stale, bytes, ...admission }) => {
    const size = bytes === undefined ? "" : `, ${kibibytes(bytes)}`;
    return `${resource}: ${stale} of ${objects}${size}${webhooks(admission)}`;
  });
  const { status, encrypt, decrypt } = kmsCalls;
  return [
    ...resources,
    rewrite.rateBasis,
    `KMS: about ${status} Status, ${encrypt} Encrypt, ${decrypt} Decrypt in all`,
  ];
}

function webhooks({
  mutatingWebhooks,
  validatingWebhooks,
  policies,
}: Omit<ForecastResource, "resource" | "objects" | "stale" | "bytes">): string {
  const parts = [
    [mutatingWebhooks, "mutating webhook"],
    [validatingWebhooks, "validating webhook"],
    [policies, "admission policy"],
  ] as const;
  return parts
    .filter(([names]) => names.length > 0)
    .map(([names, what]) => `, ${what} ${names.join(", ")}`)
    .join("");
}

function purpose(stage: RotationStage, key: string, plaintext: boolean): string {
  switch (stage) {
    case RotationStage.Plugin:
      return `start the plugin for ${key}, and prove on every host that it decrypts what the others encrypt`;
    case RotationStage.Read:
      return plaintext ? "every API server can read plaintext" : `every API server can decrypt with ${key}`;
    case RotationStage.Write:
      return plaintext ? "every API server writes plaintext" : `every API server encrypts with ${key}`;
    case RotationStage.Rewrite:
      return `write every stored object again, with ${key}`;
    case RotationStage.Verify:
      return `see that every stored object uses ${key}`;
    case RotationStage.Prune:
      return "what is no longer needed leaves the configurations, then its plugin stops, and the keys stay";
  }
}

function costs(planned: PlannedStage): readonly string[] {
  const amounts =
    planned.objects === undefined
      ? []
      : [`${planned.objects} objects${planned.bytes === undefined ? "" : `, ${kibibytes(planned.bytes)}`}`];
  const servers = planned.servers.length === 0 ? [] : [`on ${planned.servers.join(", ")}`];
  const restarts =
    planned.servers.length === 0 ? [] : [planned.restarts === 0 ? "no restart" : `${planned.restarts} restarts`];
  return [...servers, ...amounts, ...restarts, `about ${Math.max(1, Math.round(planned.expectedMs / 1_000))} s`];
}

function kibibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1_024)} KiB`;
}
