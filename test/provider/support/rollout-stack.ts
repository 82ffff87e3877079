/** What the Pulumi engine does with one EncryptionRollout, or another resource that is refreshed before an update: refresh, check, diff, then create or update; and its state. */
import type { Properties } from "../../../provider/property-values";
import { type EngineSide, initFailure } from "./engine-side";

export interface StackState {
  inputs: Properties;
  outputs: Properties;
}

export interface UpResult {
  readonly op: "create" | "update" | "same";
  readonly failure: string | undefined;
}

/** Keeps the state as the engine would: after a failed update the old inputs stay. */
export function rolloutStack(side: EngineSide, resource: EngineSide["rollout"] = side.rollout) {
  let state: StackState | undefined;

  async function refresh(): Promise<void> {
    if (state === undefined) return;
    const { inputs, outputs } = await resource.read(state.inputs, state.outputs);
    // The engine asks for the difference with the state's own inputs, to show it; it must not fail.
    await resource.diff(inputs, outputs, state.inputs);
    state = { inputs, outputs };
  }

  async function checked(news: Properties): Promise<Properties> {
    const { inputs, problems } = await resource.check(state?.inputs, news);
    if (problems.length > 0) throw new Error(problems.join("\n"));
    return inputs;
  }

  return {
    state: () => state,
    lose: () => {
      state = undefined;
      side.oldViews.clear();
    },
    restore: (earlier: StackState | undefined) => {
      state = earlier;
    },
    async preview(news: Properties) {
      await refresh();
      const inputs = await checked(news);
      if (state === undefined) {
        const { outputs } = await resource.create(inputs, true);
        return { op: "create" as const, inputs, outputs, names: [] as string[] };
      }
      const { some, names } = await resource.diff(state.inputs, state.outputs, inputs);
      const outputs = some ? await resource.update(state.inputs, state.outputs, inputs, true) : state.outputs;
      return { op: some ? ("update" as const) : ("same" as const), inputs, outputs, names };
    },
    async up(news: Properties): Promise<UpResult> {
      await refresh();
      const inputs = await checked(news);
      try {
        if (state === undefined) {
          const { outputs } = await resource.create(inputs);
          state = { inputs, outputs };
          return { op: "create", failure: undefined };
        }
        const { some } = await resource.diff(state.inputs, state.outputs, inputs);
        if (!some) return { op: "same", failure: undefined };
        const outputs = await resource.update(state.inputs, state.outputs, inputs);
        state = { inputs, outputs };
        return { op: "update", failure: undefined };
      } catch (thrown) {
        const failed = initFailure(thrown);
        if (failed === undefined) throw thrown;
        const op = state === undefined ? "create" : "update";
        state = { inputs: state?.inputs ?? inputs, outputs: failed.outputs };
        return { op, failure: failed.reasons.join("\n") };
      }
    },
  };
}
