/**
 * What KopsKeypairRotation and KopsSecretRotation have in common as resources: `check` looks and plans, `diff` says what `check` has found,
 * `create` and `update` are the same run, and `read` looks. They keep nothing that kOps could not tell again; `settled` in the outputs
 * only says which state of kOps' store an earlier run has brought to every machine, and counts while the store is still that.
 */
import { describeError } from "../../core/errors";
import type { InputViolation } from "../../core/input-rules";
import { inTurn, turnTaken } from "../../rotation/adapters/kops/cluster-turns";
import { changedProperties } from "../property-diff";
import { hasUnknown, type Properties, unknown } from "../property-values";
import { type Checked, InitFailed, type Operation, type Resource, type State } from "../resource";

/** What a run would do. */
export interface CredentialSurvey {
  readonly lines: readonly string[];
  /** Whether it would change anything. */
  readonly changes: boolean;
  readonly blocked?: string;
  readonly warnings: readonly string[];
}

export interface CredentialRunResult {
  readonly outputs: Properties;
  /** Why it ended before its goal, if it did. A wait for somebody is no failure. */
  readonly stopped?: string;
  readonly warnings: readonly string[];
}

/** One kind of credentials. Everything throws KmsEtcdError. */
export interface CredentialKind {
  violations(inputs: Properties): readonly InputViolation[];
  readonly secretInputs: readonly string[];
  /** Names of the outputs that a run may change. */
  readonly outputs: readonly string[];
  survey(inputs: Properties, settled: string | undefined, signal: AbortSignal): Promise<CredentialSurvey>;
  run(inputs: Properties, before: State | undefined, operation: Operation): Promise<CredentialRunResult>;
  /** Outputs as they are now. */
  look(state: State, signal: AbortSignal): Promise<Properties>;
  /** Outputs that a run makes anew though no input says so: the inputs or the time have made them old. */
  oldOutputs(state: State, inputs: Properties): readonly string[];
  /** What stays when the resource goes. */
  readonly left: string;
}

export function createCredentialResource(kind: CredentialKind, secretOutputs: readonly string[]): Resource {
  /** What `check` has seen, for what follows it in the same process. */
  const surveys = new Map<string, CredentialSurvey>();
  /** `settled` of the state, which `read` is told and `check` is not. */
  const settled = new Map<string, string | undefined>();

  async function check(olds: Properties | undefined, news: Properties, operation: Operation): Promise<Checked> {
    surveys.delete(operation.urn);
    const secrets = kind.secretInputs;
    const problems = kind.violations(news);
    if (problems.length > 0) return { inputs: news, problems, secrets };
    if (hasUnknown(news)) return { inputs: { ...news, plan: unknown }, problems, secrets };
    let survey: CredentialSurvey;
    try {
      survey = await kind.survey(news, settled.get(operation.urn), operation.signal);
    } catch (thrown) {
      return { inputs: news, problems: [{ path: "kops", reason: describeError(thrown) }], secrets };
    }
    surveys.set(operation.urn, survey);
    for (const warning of survey.warnings) await operation.warn(warning);
    if (survey.blocked !== undefined) await operation.warn(`a run would stop: ${survey.blocked}`);
    // A plan that stays the same while nothing is pending is no difference by itself.
    const plan = isPending(survey) ? survey.lines : olds?.["plan"];
    return { inputs: plan === undefined || plan === null ? news : { ...news, plan }, problems, secrets };
  }

  async function diff(state: State, news: Properties, operation: Operation) {
    const survey = surveys.get(operation.urn);
    const { plan: _before, ...before } = state.inputs;
    const { plan: _after, ...after } = news;
    if (survey === undefined) {
      // A refresh asks how the state it has just read differs from its own inputs, which have a plan or not.
      return { inputs: changedProperties(before, after), outputs: state.outputs["atGoal"] === false ? ["atGoal"] : [] };
    }
    const inputs = changedProperties(state.inputs, news);
    const isOld = isPending(survey) || state.outputs["atGoal"] === false;
    return { inputs, outputs: [...(isOld ? ["atGoal"] : []), ...kind.oldOutputs(state, news)] };
  }

  /** Where nothing would change, what is known stays known, but for what is made anew. */
  function preview(inputs: Properties, state: State | undefined, operation: Operation): Properties {
    const survey = surveys.get(operation.urn);
    const keeps = survey !== undefined && !isPending(survey);
    const before = state?.outputs ?? {};
    const old = state === undefined ? [] : kind.oldOutputs(state, inputs);
    return Object.fromEntries([
      ...kind.outputs.map(
        (name) => [name, keeps && !old.includes(name) ? (before[name] ?? unknown) : unknown] as const,
      ),
      ["plan", inputs["plan"] ?? before["plan"] ?? []] as const,
    ]);
  }

  async function run(inputs: Properties, before: State | undefined, operation: Operation): Promise<Properties> {
    surveys.delete(operation.urn);
    const id = before?.id ?? operation.name;
    const plan = inputs["plan"] ?? before?.outputs["plan"] ?? [];
    try {
      const { outputs, stopped, warnings } = await inTurn(
        clusterName(inputs),
        operation.signal,
        () => operation.progress(turnTaken),
        () => kind.run(inputs, before, operation),
      );
      for (const warning of warnings) await operation.warn(warning);
      if (stopped === undefined) return { ...outputs, atGoal: true, plan };
      throw new InitFailed(id, { ...before?.outputs, ...outputs, atGoal: false, plan }, [stopped]);
    } catch (thrown) {
      if (thrown instanceof InitFailed) throw thrown;
      // The store may have been changed: a state is left behind, and the next `up` goes on.
      const reason = `${describeError(thrown)}; run pulumi up again to go on`;
      throw new InitFailed(id, { ...before?.outputs, atGoal: false, plan }, [reason]);
    }
  }

  return {
    secretOutputs,
    check,
    diff,
    create: async (inputs, isPreview, operation) =>
      isPreview
        ? { id: "", outputs: preview(inputs, undefined, operation) }
        : { id: operation.name, outputs: await run(inputs, undefined, operation) },
    update: async (state, inputs, isPreview, operation) =>
      isPreview ? preview(inputs, state, operation) : run(inputs, state, operation),
    async read(state, operation) {
      const { plan: _plan, ...inputs } = state.inputs;
      const known = state.outputs["settled"];
      settled.set(operation.urn, typeof known === "string" ? known : undefined);
      if (kind.violations(inputs).length > 0) return state;
      try {
        return { ...state, inputs, outputs: { ...state.outputs, ...(await kind.look(state, operation.signal)) } };
      } catch (thrown) {
        await operation.warn(`the cluster can't be looked at: ${describeError(thrown)}`);
        return state;
      }
    },
    async delete(_state, operation) {
      await operation.warn(kind.left);
    },
  };
}

function clusterName({ kops }: Properties): string {
  return (kops as { readonly clusterName: string }).clusterName;
}

function isPending({ changes, blocked }: CredentialSurvey): boolean {
  return changes || blocked !== undefined;
}
