/**
 * The EncryptionRollout resource. It keeps nothing that the cluster could not tell it again: `check` looks at the cluster
 * and plans, `diff` says what `check` has found, `create` and `update` are the same run of the engine, and `read` looks.
 */
import { describeError, KmsEtcdError } from "../../core/errors";
import { isAfter, RotationStage } from "../../core/rotation-stage";
import { backupsNotLookedAt, noBackupLookedAt } from "../../rotation/snapshot-record";
import { changedProperties } from "../property-diff";
import { isList, type Properties, type PropertyValue, unknown } from "../property-values";
import type { Checked, CheckProblem, Operation, Resource, State } from "../resource";
import { activeKeyVersion } from "./key-providers";
import { keyName, planLines, plannedStages } from "./plan-lines";
import { describePlatform, isSamePlatform, secretPlatformInputs } from "./platform-inputs";
import { secretSigningInputs } from "./report-signing";
import { type RolloutInputs, rolloutInputs } from "./rollout-inputs";
import { evidenceToKeep, rolloutOutputs } from "./rollout-outputs";
import { type RolloutType, rolloutProblems } from "./rollout-problems";
import { runRollout } from "./rollout-run";
import type { RotationEngine, Survey } from "./rotation-engine";
import { createStageViews } from "./stage-views";
import { undeclaredInUse, undeclaredKeyProblems } from "./undeclared-keys";
import { knownSnapshotDirectories, withEarlierSnapshots } from "./upkeep-inputs";

/** `type` says which inputs there are. */
export function createRolloutResource(engine: RotationEngine, type: RolloutType = "EncryptionRollout"): Resource {
  /** What `check` has seen, for the `diff`, `create` or `update` that follows it in the same process. */
  const surveys = new Map<string, Survey>();

  function forget(operation: Operation): Operation {
    surveys.delete(operation.urn);
    return operation;
  }

  function run(id: string, inputs: Properties, before: Properties, operation: Operation): Promise<Properties> {
    const seen = surveys.get(operation.urn)?.evidence;
    return runRollout(engine, id, inputs, before, forget(operation), seen);
  }

  async function check(olds: Properties | undefined, news: Properties, operation: Operation): Promise<Checked> {
    return { ...(await checkPlain(olds, news, operation)), secrets: [...secretPlatformInputs, ...secretSigningInputs] };
  }

  async function checkPlain(olds: Properties | undefined, given: Properties, operation: Operation): Promise<Checked> {
    forget(operation);
    const problems = rolloutProblems(given, type);
    const news = withEarlierSnapshots(given, olds);
    const inputs = rolloutInputs(news);
    if (problems.length > 0) return { inputs: news, problems };
    if (inputs === undefined) return { inputs: { ...news, plan: unknown }, problems };
    let survey: Survey;
    try {
      survey = await engine.survey(inputs.platform, inputs.goal, operation.signal);
    } catch (thrown) {
      return { inputs: news, problems: [surveyProblem(thrown, inputs)] };
    }
    surveys.set(operation.urn, survey);
    const before = olds === undefined ? undefined : rolloutInputs(olds);
    const samePlatform = before !== undefined && isSamePlatform(before.platform, inputs.platform);
    const undeclared = samePlatform ? undeclaredKeyProblems(before.keys, inputs.keys, survey.plan.observed) : [];
    if (isOtherList(olds?.["retireKeyVersions"], news["retireKeyVersions"])) {
      const isKops = inputs.platform.kind === "kops";
      await operation.warn(isKops ? noBackupLookedAt : backupsNotLookedAt(knownSnapshotDirectories(news)));
    }
    await sayWhatMatters(survey, inputs, before !== undefined && !samePlatform ? before : undefined, operation);
    const retiring = (survey.retirementProblems ?? []).map((reason) => ({ path: "retireKeyVersions", reason }));
    return { inputs: withPlan(news, survey, inputs, olds), problems: [...undeclared, ...retiring] };
  }

  /** A plan that stays the same while nothing is pending, so that it is no difference by itself. */
  function withPlan(news: Properties, survey: Survey, inputs: RolloutInputs, olds: Properties | undefined): Properties {
    const plan = survey.plan.changes
      ? (survey.lines?.(keyName(inputs)) ?? planLines(survey.plan, inputs))
      : olds?.["plan"];
    return plan === undefined || plan === null ? news : { ...news, plan };
  }

  async function sayWhatMatters(
    survey: Survey,
    inputs: RolloutInputs,
    left: RolloutInputs | undefined,
    operation: Operation,
  ): Promise<void> {
    if (left !== undefined) {
      await operation.warn(
        `${describePlatform(left.platform)} is managed no longer: that cluster keeps its settings as they are`,
      );
    }
    if (survey.plan.blocked !== undefined) {
      const { reason, remedy } = survey.plan.blocked;
      await operation.warn(`a rollout would stop: ${reason}; ${remedy}`);
    }
    for (const warning of undeclaredInUse(inputs.keys, survey.plan.observed)) await operation.warn(warning);
    if (isPending(survey)) for (const warning of survey.plan.warnings) await operation.warn(warning);
  }

  async function diff(state: State, news: Properties, operation: Operation) {
    const survey = surveys.get(operation.urn);
    if (survey === undefined) {
      // A refresh asks how the state it has just read differs from its own inputs, which have a plan or not.
      const { plan: _before, ...before } = state.inputs;
      const { plan: _after, ...after } = news;
      return { inputs: changedProperties(before, after), outputs: state.outputs["atGoal"] === false ? ["atGoal"] : [] };
    }
    const inputs = changedProperties(state.inputs, news);
    return { inputs, outputs: isPending(survey) && inputs.size === 0 ? ["atGoal"] : [] };
  }

  /** What a run will lead to, for the preview of whatever depends on it. */
  async function preview(inputs: Properties, before: Properties, operation: Operation): Promise<Properties> {
    const survey = surveys.get(operation.urn);
    const wanted = rolloutInputs(inputs);
    if (survey === undefined || wanted === undefined) {
      const plan = inputs["plan"] ?? unknown;
      return { activeKeyVersion: unknown, atGoal: unknown, plan, evidence: unknown, report: unknown };
    }
    if (survey.plan.changes) {
      await createStageViews(operation.views, wanted.target).foretell(plannedStages(survey.plan, wanted), survey.plan);
    }
    const switches = !isAfter(RotationStage.Write, wanted.goal.advanceTo);
    return rolloutOutputs({
      activeKeyVersion: switches ? wanted.target : versionIn(before["activeKeyVersion"]),
      atGoal: true,
      plan: inputs["plan"] ?? before["plan"],
      evidence: survey.plan.changes ? unknown : (before["evidence"] ?? unknown),
      report: unknown,
    });
  }

  async function read(state: State, operation: Operation): Promise<State> {
    forget(operation);
    const inputs = rolloutInputs(state.inputs);
    if (inputs === undefined) return state;
    let survey: Survey;
    try {
      survey = await engine.survey(inputs.platform, inputs.goal, operation.signal);
    } catch (thrown) {
      await operation.warn(`the cluster can't be looked at: ${describeError(thrown)}`);
      return state;
    }
    // The plan in the inputs has been carried out or has been overtaken; the next `check` makes one if one is needed.
    const { plan: _plan, ...kept } = state.inputs;
    return {
      id: state.id,
      inputs: kept,
      outputs: rolloutOutputs({
        activeKeyVersion: activeKeyVersion(survey.plan.observed.servers, inputs.goal.resources, inputs.keys),
        atGoal: !isPending(survey),
        plan: state.outputs["plan"],
        evidence: evidenceToKeep(state.outputs["evidence"], survey.evidence, true),
        report: state.outputs["report"],
      }),
    };
  }

  return {
    check,
    diff,
    async create(inputs, isPreview, operation) {
      const id = operation.name;
      if (isPreview) return { id: "", outputs: await preview(inputs, {}, operation) };
      return { id, outputs: await run(id, inputs, {}, operation) };
    },
    read,
    update: (state, inputs, isPreview, operation) =>
      isPreview ? preview(inputs, state.outputs, operation) : run(state.id, inputs, state.outputs, operation),
    async delete(state, operation) {
      const inputs = rolloutInputs(state.inputs);
      const cluster = inputs === undefined ? "the cluster" : describePlatform(inputs.platform);
      await operation.warn(
        `${cluster} keeps its encryption settings as they are: nothing was decrypted, nothing was deleted`,
      );
    },
  };
}

/** Whether a run would do anything, also if that is only to wait for a server in trouble or to say why it can't go on. */
function isPending({ plan }: Survey): boolean {
  const inTrouble = plan.observed.servers.some(
    (server) => server.unreachable !== undefined || server.notReady !== undefined,
  );
  return plan.changes || plan.blocked !== undefined || inTrouble;
}

function surveyProblem(thrown: unknown, { platform }: RolloutInputs): CheckProblem {
  if (platform.kind !== "local") return { path: platform.kind, reason: describeError(thrown) };
  const missing = thrown instanceof KmsEtcdError && thrown.code === "not-found";
  return { path: missing ? "local.controlPlaneFile" : "", reason: describeError(thrown) };
}

/** Whether `now` has entries, and not the same as `before`. */
function isOtherList(before: PropertyValue | undefined, now: PropertyValue | undefined): boolean {
  return isList(now) && now.length > 0 && JSON.stringify(before) !== JSON.stringify(now);
}

function versionIn(value: PropertyValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
