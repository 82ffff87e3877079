/**
 * The AksKmsSettings resource. It keeps nothing that the cluster could not tell it again, but what was proven: `check` looks at Azure and
 * plans, `diff` says what `check` has found, `create` and `update` are the same run, and `read` looks.
 */
import { describeSkipped, type Finding, type Findings, violationOf } from "../../core/azure-rules/rule";
import { describeError, type ErrorCode, KmsEtcdError } from "../../core/errors";
import type { AksEngine, AksSurvey } from "../../rotation/adapters/aks/aks-engine";
import { secondKey } from "../../rotation/adapters/aks/held-keys";
import { areSameSettings } from "../../rotation/adapters/aks/kms-settings";
import type { KnownKeys } from "../azure/known-keys";
import { changedProperties } from "../property-diff";
import { hasUnknown, type Properties, unknown } from "../property-values";
import type { Checked, CheckProblem, Operation, Resource, State } from "../resource";
import { aksFacts, aksProblems, aksRequest, factPathsOf, type LastRun, secretInputs } from "./aks-inputs";
import { aksOutputs, lastRun, whatHolds } from "./aks-outputs";
import { createLegViews, keyNames, planLines } from "./aks-plan";
import { runAksSettings } from "./aks-run";
import { movedGrantProblems } from "./moved-grants";

/** Reasons why Azure was not seen that say nothing of the inputs. */
const notAllowed: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "permission-denied",
  "unreachable",
  "timeout",
  "throttled",
]);

/** Rules about what may only seem to be wrong, and why: a role may come by a group, or by this very update. */
const unsureRules: Readonly<Record<string, string>> = {
  I1: ", by the roles that are assigned to it at the vault now, groups left aside",
  I2: ", by the roles that are assigned to it at the vault now, groups left aside",
  I4: ", by the roles that are assigned to it at the vault now, groups left aside",
  H6: "",
};

/** What nobody here can see: it is said, so that silence means that all is well. */
const notChecked =
  "not checked: what the cluster's owner is about to change in it (rules D4r, D5r, M1), network security groups (D7r), admission policies that refuse updates of Secrets (J8), what else is about to be deleted (L3)";

export function createAksSettingsResource(engine: () => AksEngine, keys: KnownKeys): Resource {
  /** What `check` has seen, for the `diff`, `create` or `update` that follows it in the same process. */
  const surveys = new Map<string, AksSurvey>();
  /** What earlier runs have proven, as the state had it before this update: `check` is not told the outputs. */
  const proven = new Map<string, LastRun>();

  function forget(operation: Operation): Operation {
    surveys.delete(operation.urn);
    return operation;
  }

  function run(id: string, inputs: Properties, before: Properties, operation: Operation): Promise<Properties> {
    const seen = surveys.get(operation.urn);
    return runAksSettings(engine(), id, inputs, before, forget(operation), keys.planned, seen);
  }

  async function check(olds: Properties | undefined, news: Properties, operation: Operation): Promise<Checked> {
    forget(operation);
    // From the plan on, inputs are ours.
    const { plan: _plan, ...given } = news;
    const problems = aksProblems(given);
    if (problems.length > 0) return { inputs: given, problems, secrets: secretInputs };
    const asked = aksRequest(given, proven.get(operation.urn), keys.planned);
    if (asked === undefined) {
      await operation.warn(
        "the cluster is not known before the update, so nothing of it was looked at; the update itself does that before it changes anything",
      );
      return {
        inputs: { ...given, plan: unknown },
        problems: await keyProblems(given, operation),
        secrets: secretInputs,
      };
    }
    let survey: AksSurvey;
    try {
      survey = await engine().survey(asked.request, aksFacts(given), factPathsOf(given), operation.signal);
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || !notAllowed.has(thrown.code)) {
        const isMissing = thrown instanceof KmsEtcdError && thrown.code === "not-found";
        const problem = { path: isMissing ? "clusterId" : "", reason: describeError(thrown) };
        return { inputs: given, problems: [problem], secrets: secretInputs };
      }
      // Whoever only previews may have no leave to look; the update looks before it changes anything.
      await operation.warn(`the cluster was not looked at, so no step is planned: ${describeError(thrown)}`);
      return { inputs: keptPlan(given, olds), problems, secrets: secretInputs };
    }
    surveys.set(operation.urn, survey);
    keys.hold(asked.request.clusterId, survey.heldKeyIds);
    const errors = survey.findings.errors.filter(({ id }) => !(id in unsureRules));
    await sayWhatMatters(survey, operation);
    const before = olds?.["clusterId"];
    if (typeof before === "string" && before.toLowerCase() !== asked.request.clusterId.toLowerCase()) {
      await operation.warn(`${before} is managed no longer: that cluster keeps its settings as they are`);
    }
    const found = [...errors.map(violationOf), ...movedGrantProblems(olds, given, survey.heldKeyIds)];
    return { inputs: withPlan(given, olds, survey), problems: found, secrets: secretInputs };
  }

  /** What is wrong with the key and the vault, as far as they are known before the cluster is; and what could not be checked. */
  async function keyProblems(given: Properties, operation: Operation): Promise<readonly CheckProblem[]> {
    const early = aksRequest({ ...given, clusterId: "", kubernetes: null, limits: null }, undefined, keys.planned);
    if (early === undefined) return [];
    try {
      const { signal } = operation;
      const { findings, unseen } = await engine().surveyKey(early.request, aksFacts(given), factPathsOf(given), signal);
      await sayFindings(findings, operation);
      for (const reason of [...unseen, notChecked]) await operation.warn(reason);
      return findings.errors.filter(({ id }) => !(id in unsureRules)).map(violationOf);
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError)) throw thrown;
      await operation.warn(`neither the key nor its vault was looked at: ${describeError(thrown)}`);
      return [];
    }
  }

  /** A plan that stays the same while nothing is pending, so that it is no difference by itself. */
  function withPlan(given: Properties, olds: Properties | undefined, { legs, secrets }: AksSurvey): Properties {
    const names = keyNames(given["keyId"], given["keyVersion"]);
    return legs.length > 0 ? { ...given, plan: planLines(legs, secrets, names) } : keptPlan(given, olds);
  }

  async function sayFindings(findings: Findings, operation: Operation): Promise<void> {
    // Roles show only when they have been made: where this update makes them, a look before it can't see them.
    for (const found of findings.errors) {
      const because = unsureRules[found.id];
      if (because !== undefined) await operation.warn(`${sentence(found)}${because}`);
    }
    for (const found of findings.warnings) await operation.warn(sentence(found));
    const skipped = describeSkipped(findings.skipped);
    if (skipped !== undefined) await operation.warn(skipped);
  }

  async function sayWhatMatters({ findings, legs, unseen }: AksSurvey, operation: Operation): Promise<void> {
    await sayFindings(findings, operation);
    if (legs.length === 0) return;
    for (const reason of [...unseen, notChecked]) await operation.warn(reason);
    for (const leg of legs) {
      if (leg.kind === "blocked") await operation.warn(`the update would stop: ${leg.reason}; ${leg.remedy}`);
      if (leg.kind === "set" && leg.settings.mode === "off") {
        await operation.warn(
          "encryption is turned off on the way: new Secrets are stored in plaintext until the update has ended",
        );
      }
    }
  }

  async function diff(state: State, news: Properties, operation: Operation) {
    const survey = surveys.get(operation.urn);
    const drift = state.outputs["atGoal"] === false ? ["atGoal"] : [];
    // A refresh asks how the state it has just read differs from its own inputs, which have a plan or not.
    const { plan: _before, ...before } = state.inputs;
    const { plan: _after, ...after } = news;
    const wanted = changedProperties(before, after);
    if (survey === undefined) return { inputs: wanted, outputs: drift };
    const inputs = changedProperties(state.inputs, news);
    // Nobody wants anything else than what was reached, and still it has to be set again.
    const isOthers = wanted.size === 0 && drift.length === 0 && survey.legs.some(({ kind }) => kind === "set");
    const { clusterId } = state.outputs;
    if (isOthers && typeof clusterId === "string") await operation.warn(secondWriter(clusterId));
    return { inputs, outputs: survey.legs.length > 0 && inputs.size === 0 ? ["atGoal"] : drift };
  }

  /** What a run will lead to, for the preview of whatever depends on it. */
  async function preview(inputs: Properties, before: Properties, operation: Operation): Promise<Properties> {
    const survey = surveys.get(operation.urn);
    const { clusterId = unknown, keyId, keyVersion } = inputs;
    const asked = aksRequest(inputs, undefined, keys.planned);
    if (survey === undefined || asked === undefined) {
      const notKnown: Properties = { settings: unknown, activeKeyVersion: unknown, atGoal: unknown, evidence: unknown };
      return { ...notKnown, clusterId, plan: inputs["plan"] ?? unknown, report: unknown };
    }
    const views = createLegViews(operation.views, keyVersion === undefined ? {} : { keyVersion });
    for (const [index, leg] of survey.legs.entries()) views.publish(index + 1, leg, { result: "planned" });
    await views.settle();
    const { goal } = asked.request;
    const outputs = aksOutputs({
      clusterId,
      settings: goal,
      wanted: { keyId: keyId === unknown && goal.mode === "legacy" ? goal.keyId : keyId, keyVersion },
      atGoal: true,
      plan: inputs["plan"] ?? before["plan"],
      previousKeyId: secondKey(survey.settings, lastRun(before).previousKeyId, goal),
      lastGood: undefined,
      evidence: survey.legs.length > 0 ? unknown : (before["evidence"] ?? unknown),
      provenETag: survey.legs.length > 0 ? unknown : before["provenETag"],
      report: unknown,
    });
    return asked.isWhole && !hasUnknown(inputs) ? outputs : { ...outputs, settings: unknown };
  }

  async function read(state: State, operation: Operation): Promise<State> {
    forget(operation);
    const asked = aksRequest(state.inputs, lastRun(state.outputs), keys.planned);
    if (asked === undefined) return state;
    const { request } = asked;
    try {
      const seen = await engine().look(request.clusterId, operation.signal);
      const { settings } = seen;
      const isDrift = state.outputs["atGoal"] !== false && !areSameSettings(settings, request.goal);
      if (isDrift) await operation.warn(secondWriter(request.clusterId));
      // The plan in the inputs has been carried out or has been overtaken; the next `check` makes one if one is needed.
      const { plan: _plan, ...kept } = state.inputs;
      const { keyId, keyVersion } = state.inputs;
      const outputs = aksOutputs({
        clusterId: request.clusterId,
        settings,
        wanted: { keyId, keyVersion },
        atGoal: state.outputs["atGoal"] !== false && !isDrift,
        plan: state.outputs["plan"],
        ...whatHolds(state.outputs, seen),
        report: state.outputs["report"],
      });
      proven.set(operation.urn, lastRun(outputs));
      return { id: state.id, inputs: kept, outputs };
    } catch (thrown) {
      await operation.warn(`the cluster can't be looked at: ${describeError(thrown)}`);
      return state;
    }
  }

  return {
    check,
    diff,
    async create(inputs, isPreview, operation) {
      if (isPreview) return { id: "", outputs: await preview(inputs, {}, operation) };
      const id = operation.name;
      return { id, outputs: await run(id, inputs, {}, operation) };
    },
    read,
    update: (state, inputs, isPreview, operation) =>
      isPreview ? preview(inputs, state.outputs, operation) : run(state.id, inputs, state.outputs, operation),
    async delete(state, operation) {
      const { clusterId } = state.outputs;
      const cluster = typeof clusterId === "string" ? clusterId : "the cluster";
      await operation.warn(
        `${cluster} keeps its KMS settings as they are: nothing was decrypted, and as long as it lives it needs its key, the vault and its identity's access`,
      );
    },
  };
}

function keptPlan(given: Properties, olds: Properties | undefined): Properties {
  const before = olds?.["plan"];
  return before === undefined || before === null ? given : { ...given, plan: before };
}

function secondWriter(clusterId: string): string {
  return `${clusterId} has other KMS settings than those that were set here: somebody else sets them too. In the stack that owns the cluster, let ignoreChanges of the ManagedCluster name "securityProfile.azureKeyVaultKms", or "securityProfile" where the program sets nothing in it; and refresh it with every update, or never`;
}

function sentence({ path, reason, remedy, id }: Finding): string {
  return `${path} ${reason}; ${remedy} (rule ${id})`;
}
