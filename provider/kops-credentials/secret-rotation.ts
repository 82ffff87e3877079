/** The KopsSecretRotation resource. The secret's text is in the inputs, as a secret, and nowhere else. */
import { secretRotationInputs, secretRotationViolations } from "../../core/credential-inputs";
import { ReplaceableSecret } from "../../core/replaceable-secret";
import type { Properties } from "../property-values";
import type { Resource, State } from "../resource";
import { type CredentialKind, createCredentialResource } from "./credential-resource";
import { type CredentialEngine, loadCredentialEngine } from "./open-lazily";

/** A hash of a text that may be guessed is as good as the text to whoever guesses. */
const secretOutputs = ["settled"];

export function createSecretRotationResource(load: () => CredentialEngine = loadCredentialEngine): Resource {
  const open = (inputs: Properties, settled: string | undefined, signal: AbortSignal) => {
    const { kops, secret, content } = secretRotationInputs(withoutPlan(inputs));
    return load().openSecret(kops, { secret, text: content }, settled, signal);
  };

  const kind: CredentialKind = {
    violations: (inputs) => secretRotationViolations(withoutPlan(inputs)),
    secretInputs: ["content"],
    outputs: ["atGoal", "settled"],
    left: "the secret stays in kOps' store as it is",

    async survey(inputs, settled, signal) {
      const { store } = await open(inputs, settled, signal);
      const plan = load().predictSteps(await store.observe(undefined, signal), store);
      const replaces = plan.actions.length > 0 && inputs["secret"] === ReplaceableSecret.DockerConfig;
      return {
        lines: plan.lines,
        changes: plan.actions.length > 0,
        ...(plan.blocked !== undefined && { blocked: plan.blocked }),
        warnings: replaces ? ["every machine of the cluster is replaced: it reads the secret when it boots"] : [],
      };
    },

    async run(inputs, before, operation) {
      const { store, fleet } = await open(inputs, settledOf(before), operation.signal);
      const warnings: string[] = [];
      const outcome = await load().runCredentials({
        store,
        fleet,
        signal: operation.signal,
        onEvent: ({ kind: what, message }) =>
          what === "warning" ? warnings.push(message) : operation.progress(message),
      });
      if (outcome.isSettled) return { outputs: { settled: store.fingerprint(outcome.seen) }, warnings };
      const stopped = [outcome.reason ?? outcome.kind, outcome.remedy, "then run pulumi up again"];
      return { outputs: {}, stopped: stopped.filter((part) => part !== undefined).join("; "), warnings };
    },

    // Whether the secret is another one by now is what `check` looks at.
    look: async () => ({}),
    oldOutputs: () => [],
  };
  return createCredentialResource(kind, secretOutputs);
}

function withoutPlan({ plan: _plan, ...inputs }: Properties): Properties {
  return inputs;
}

function settledOf(state: State | undefined): string | undefined {
  const settled = state?.outputs["settled"];
  return typeof settled === "string" ? settled : undefined;
}
