/**
 * The RotationEngine port on the engine for kOps clusters, where machines are replaced instead of changed. Looking and running are
 * that engine's; plan, evidence and retirement take the form that they have for every platform.
 */
import { describeError, KmsEtcdError } from "../../core/errors";
import { describeKopsCluster, type KopsCluster } from "../../core/kops-cluster";
import { RotationStage } from "../../core/rotation-stage";
import { keyCustodies } from "../../rotation/adapters/keys/key-custodies";
import { inTurn, turnTaken } from "../../rotation/adapters/kops/cluster-turns";
import type { KopsGoal } from "../../rotation/adapters/kops/kops-decision";
import { freshRun, type KopsObservation } from "../../rotation/adapters/kops/kops-observation";
import { machineStates, machinesAtRest, presentSituation } from "../../rotation/adapters/kops/kops-situation";
import { type OpenKopsCluster, openKopsCluster } from "../../rotation/adapters/kops/open-kops-cluster";
import { asConfigured, type KopsPlan, planKops } from "../../rotation/adapters/kops/plan-kops";
import { kopsEndpoint, pluginImage } from "../../rotation/adapters/kops/plugin-asset";
import { rotationView } from "../../rotation/adapters/kops/rotation-view";
import type { KopsOutcome } from "../../rotation/adapters/kops/run-kops";
import { runKopsAlone } from "../../rotation/adapters/kops/run-kops-alone";
import { evidenceOf } from "../../rotation/evidence";
import type { Goal } from "../../rotation/goal";
import type { KeyWork } from "../../rotation/key-work";
import { withoutObjectNames } from "../../rotation/object-names";
import type { RotationPlan } from "../../rotation/plan";
import { reinstateKeys, retireKeys } from "../../rotation/retire-keys";
import { measuringBasis } from "../../rotation/rewrite-forecast";
import { kopsEtcdBackups } from "./kops-etcd-backups";
import { kopsLines, kopsStages, kopsWarnings } from "./kops-lines";
import type { Platform } from "./platform";
import { retirementProblems } from "./retirement-problems";
import type { RolloutGoal, RolloutRun, RotationEngine, Survey } from "./rotation-engine";

type Open = (cluster: KopsCluster, signal: AbortSignal) => Promise<OpenKopsCluster>;

export function createKopsEngine(open: Open = openKopsCluster): RotationEngine {
  async function withCluster<Result>(
    cluster: KopsCluster,
    signal: AbortSignal,
    work: (open: OpenKopsCluster) => Promise<Result>,
  ): Promise<Result> {
    const opened = await open(cluster, signal);
    try {
      return await work(opened);
    } finally {
      await opened.close();
    }
  }

  return {
    async survey(platform, goal, signal) {
      const cluster = clusterOf(platform);
      return withCluster(cluster, signal, (opened) => survey(opened, cluster, goal, signal));
    },
    async run(platform, rollout, onEvent, signal) {
      const cluster = clusterOf(platform);
      const wait = () => onEvent({ stage: RotationStage.Plugin, kind: "waiting", message: turnTaken, at: Date.now() });
      const rotateCluster = async (opened: OpenKopsCluster): Promise<RolloutRun> => {
        const { retire = [], withoutLease = false } = rollout;
        const goal = kopsGoal(rollout, cluster);
        const whole = (observed: KopsObservation): Goal => ({
          ...rollout,
          servers: observed.machines.map(({ name }) => name),
        });
        const keys: KeyWork<KopsOutcome> = {
          reinstate: (working) => reinstateKeys(keyCustodies, rollout, working),
          ...(retire.length > 0 && {
            retire: async ({ stage, observed }, working) => {
              const say = (message: string) => onEvent({ stage, kind: "action", message, at: Date.now() });
              const seen = rotationView(observed, goal);
              const view = { observed: seen, goal: whole(observed), endpointOf: kopsEndpoint, snapshots: [] };
              const unrecordedBackups = kopsEtcdBackups(cluster);
              await retireKeys(keyCustodies, retire, { ...view, unrecordedBackups }, say, working);
            },
          }),
        };
        const outcome = await runKopsAlone({ goal, ...opened, onEvent, signal, withoutLease, keys });
        const view = rotationView(outcome.observed, goal);
        const { observed, ...ended } = outcome;
        return {
          outcome: { ...ended, evidence: evidenceOf(view, whole(observed), kopsEndpoint) },
          servers: view.servers,
        };
      };
      return inTurn(cluster.clusterName, signal, wait, () => withCluster(cluster, signal, rotateCluster));
    },
  };
}

function clusterOf(platform: Platform): KopsCluster {
  if (platform.kind !== "kops") throw new KmsEtcdError("internal", `${platform.kind} is no kOps cluster`);
  return platform.cluster;
}

function kopsGoal(goal: RolloutGoal, { plugin, policyStatements }: KopsCluster): KopsGoal {
  return {
    resources: goal.resources,
    writer: goal.writer,
    declared: goal.declared,
    allowPlaintextReads: goal.allowPlaintextReads,
    ...(goal.rewriteBy !== undefined && { rewriteBy: goal.rewriteBy }),
    advanceTo: goal.advanceTo,
    image: pluginImage(plugin),
    ...(policyStatements !== undefined && {
      statements: JSON.parse(policyStatements) as KopsGoal["statements"] & object,
    }),
  };
}

async function survey(
  { kops, stored }: OpenKopsCluster,
  cluster: KopsCluster,
  rollout: RolloutGoal,
  signal: AbortSignal,
): Promise<Survey> {
  const goal = kopsGoal(rollout, cluster);
  const seen = { ...(await kops.observe(signal)), now: Date.now(), run: freshRun };
  const counted = await count(seen);
  const observed = "problem" in counted ? seen : counted;
  const { planned, unseen } = await withOutlook(planKops(observed, goal));
  const plan = rotationPlan(observed, goal, planned, "problem" in counted ? counted.problem : undefined, unseen);
  const whole: Goal = { ...rollout, servers: observed.machines.map(({ name }) => name) };
  return {
    plan,
    evidence: evidenceOf(plan.observed, whole, kopsEndpoint),
    retirementProblems: await retirementProblems(plan, whole, kopsEndpoint, rollout, kopsEtcdBackups(cluster)),
    lines: (key) => kopsLines(planned, observed, rollout, key),
  };

  /** Who has a say in the rewrite, and how fast it will go; only looked at where there is one. */
  async function withOutlook(
    bare: KopsPlan,
  ): Promise<{ readonly planned: KopsPlan; readonly unseen: readonly string[] }> {
    const targets = bare.rewrite === undefined ? undefined : presentSituation(observed, goal)?.targets;
    if (targets === undefined) return { planned: bare, unseen: [] };
    try {
      const servers = observed.machines.map(({ name }) => name);
      return { planned: planKops(observed, goal, await stored.outlook(targets, servers, signal)), unseen: [] };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const why = withoutObjectNames(describeError(thrown));
      return { planned: bare, unseen: [`the rewrite could not be looked into: ${why}`] };
    }
  }

  /** How many objects there are; a preview writes nothing, so it can't tell with which key. */
  async function count(looked: KopsObservation): Promise<KopsObservation | { readonly problem: string }> {
    const situation = presentSituation(machinesAtRest(looked), goal);
    if (looked.machines.length === 0) return looked; // nobody to ask
    if (situation === undefined || looked.machines.some(({ unreachable }) => unreachable !== undefined)) return looked;
    try {
      const proof = await stored.count(situation.targets, machineStates(looked), () => undefined, signal);
      return { ...looked, run: { ...looked.run, stored: asConfigured(situation, proof) } };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      return {
        problem: `what is stored in ${describeKopsCluster(cluster)} could not be counted: ${withoutObjectNames(describeError(thrown))}`,
      };
    }
  }
}

function rotationPlan(
  observed: KopsObservation,
  goal: KopsGoal,
  planned: KopsPlan,
  unmeasured: string | undefined,
  unseen: readonly string[],
): RotationPlan {
  const blocked =
    planned.blocked ??
    (unmeasured === undefined
      ? undefined
      : { reason: unmeasured, remedy: "mend it first: a run would stop there too" });
  const { rewrite, kmsCalls } = planned;
  return {
    changes: planned.stages.length > 0,
    stages: kopsStages(planned),
    warnings: [...kopsWarnings(planned, observed, goal), ...unseen],
    blocked,
    basis: [
      "the replacement of a machine takes about six minutes in AWS",
      ...(rewrite ? [rewrite.rateBasis, measuringBasis(observed.run.stored)] : []),
    ].join(", "),
    ...(rewrite && { rewrite }),
    kmsCalls,
    observed: rotationView(machinesAtRest(observed), goal),
  };
}
