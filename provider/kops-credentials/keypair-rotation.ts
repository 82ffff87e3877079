/** The KopsKeypairRotation resource. */
import { keypairRotationInputs, keypairRotationViolations } from "../../core/credential-inputs";
import { isAtLeast, KeypairStage } from "../../core/keypair-stage";
import type { KeypairGoal, KeypairsSeen } from "../../rotation/adapters/kops-credentials/keypair-decision";
import { pausesScaleUp } from "../../rotation/adapters/kops-credentials/keypair-store";
import { kubernetesCa } from "../../rotation/adapters/kops-credentials/keypairs";
import type { OpenKeypairs } from "../../rotation/adapters/kops-credentials/open-credentials";
import type { Properties, PropertyValue } from "../property-values";
import type { Resource, State } from "../resource";
import { type CredentialKind, createCredentialResource } from "./credential-resource";
import { keypairOutputs } from "./keypair-outputs";
import { type CredentialEngine, loadCredentialEngine } from "./open-lazily";

const secretOutputs = ["adminKubeconfig", "certificateAuthority", "kubeconfig"];

export function createKeypairRotationResource(
  load: () => CredentialEngine = loadCredentialEngine,
  now: () => number = Date.now,
): Resource {
  const isExpired = (kubeconfig: PropertyValue) =>
    typeof kubeconfig === "string" && (load().clientCertificateExpiry(kubeconfig) ?? Number.POSITIVE_INFINITY) <= now();

  const open = (inputs: Properties, settled: string | undefined, signal: AbortSignal) => {
    const { kops, keysets, madeBefore, advanceTo, clientsTrustKeypair, clientsUseKeypair } = inputsOf(inputs);
    const goal: KeypairGoal = {
      keysets,
      madeBefore,
      advanceTo,
      clientsTrust: clientsTrustKeypair,
      clientsUse: clientsUseKeypair,
    };
    return load().openKeypairs(kops, goal, settled, signal);
  };

  const kind: CredentialKind = {
    violations: (inputs) => keypairRotationViolations(withoutPlan(inputs)),
    secretInputs: [],
    outputs: [...secretOutputs, "atGoal", "keypairs", "newKeypairId", "settled", "stage", "waitingFor"],
    left: "kOps' keypairs stay as they are: nothing was distrusted, nothing was deleted",

    async survey(inputs, settled, signal) {
      const { store } = await open(inputs, settled, signal);
      const seen = await store.observe(undefined, signal);
      const plan = load().predictSteps(seen, store);
      return {
        lines: plan.lines,
        changes: plan.actions.length > 0,
        ...(plan.blocked !== undefined && { blocked: plan.blocked }),
        warnings: [
          ...(plan.actions.some(pausesScaleUp) ? [scaleUpPauses] : []),
          ...(forgetsClients(seen, inputs) ? [clientsMayHaveTheNewCaAlone] : []),
          ...(plan.waitingFor === undefined ? [] : [plan.lines.at(-1) ?? ""]),
        ],
      };
    },

    async run(inputs, before, operation) {
      const wanted = inputsOf(inputs);
      const opened = await open(inputs, settledOf(before), operation.signal);
      const warnings: string[] = [];
      const outcome = await load().runCredentials({
        store: opened.store,
        fleet: opened.fleet,
        signal: operation.signal,
        onEvent: ({ kind: what, message }) =>
          what === "warning" ? warnings.push(message) : operation.progress(message),
      });
      const seen = keypairOutputs(outcome.seen, wanted.madeBefore, wanted.keysets, outcome.waitingFor?.input);
      if (!outcome.isSettled) {
        const stopped = [outcome.reason ?? outcome.kind, outcome.remedy, "then run pulumi up again"];
        return { outputs: seen, stopped: stopped.filter((part) => part !== undefined).join("; "), warnings };
      }
      if (outcome.waitingFor !== undefined) {
        const { input, value } = outcome.waitingFor;
        warnings.push(`waiting: ${outcome.reason ?? ""}; then write ${input}: "${value}"`);
      }
      const old = before === undefined || isAdminOld(before, inputs, seen, isExpired);
      const exported = await exportedOutputs(opened, inputs, old ? undefined : before, seen, operation.signal);
      return { outputs: { ...seen, ...exported, settled: opened.store.fingerprint(outcome.seen) }, warnings };
    },

    async look(state, signal) {
      const wanted = inputsOf(state.inputs);
      const { store } = await open(state.inputs, settledOf(state), signal);
      // What an update would do is for `check` to ask.
      const seen = await store.observe(state.outputs["settled"] as string | undefined, signal);
      const waiting = state.outputs["waitingFor"];
      return keypairOutputs(seen, wanted.madeBefore, wanted.keysets, typeof waiting === "string" ? waiting : undefined);
    },

    oldOutputs: (state, inputs) => (isAdminOld(state, inputs, state.outputs, isExpired) ? ["adminKubeconfig"] : []),
  };
  return createCredentialResource(kind, secretOutputs);
}

/** Fresh ones after every run; admin credentials only where those of `current` are old or there are none: each export makes new ones. */
async function exportedOutputs(
  { kubeconfig }: OpenKeypairs,
  inputs: Properties,
  current: State | undefined,
  seen: Properties,
  signal: AbortSignal,
): Promise<Properties> {
  const { text, ca } = await kubeconfig(undefined, signal);
  const { adminCredentialLifetime } = inputsOf(inputs);
  const exported = { kubeconfig: text, certificateAuthority: ca };
  if (adminCredentialLifetime === undefined) return exported;
  const issuer = issuerIn(seen);
  const kept = current?.outputs["adminKubeconfig"];
  if (kept !== undefined) return { ...exported, adminKubeconfig: kept, adminIssuer: issuer };
  const admin = await kubeconfig(adminCredentialLifetime, signal);
  return { ...exported, adminKubeconfig: admin.text, adminIssuer: issuer };
}

/** By another issuer, for another lifetime, or past its time: whoever gets it after that could do nothing with it. */
function isAdminOld(
  before: State,
  inputs: Properties,
  seen: Properties,
  isExpired: (kubeconfig: PropertyValue) => boolean,
): boolean {
  const { adminCredentialLifetime } = inputs;
  if (typeof adminCredentialLifetime !== "string") return false;
  const { adminKubeconfig } = before.outputs;
  return (
    adminKubeconfig === undefined ||
    isExpired(adminKubeconfig) ||
    before.inputs["adminCredentialLifetime"] !== adminCredentialLifetime ||
    before.outputs["adminIssuer"] !== issuerIn(seen)
  );
}

/** The keypair that issues admin credentials now. */
function issuerIn(outputs: Properties): PropertyValue {
  const all = outputs["keypairs"];
  const list = Array.isArray(all) ? (all as readonly Properties[]) : [];
  return list.find(({ keyset }) => keyset === kubernetesCa)?.["primaryId"] ?? null;
}

const scaleUpPauses =
  "while the new keypairs are promoted, from `kops update cluster` until the last machine is replaced, new nodes may not be able to join: " +
  "nodes from the new template need the new kops-controller, and those from the old one the old; keep autoscalers and node upgrades away";

const clientsMayHaveTheNewCaAlone =
  "clients that got their kubeconfig after Distrust trust the new CA alone, and servers are about to show certificates of the previous one: " +
  "go back to Promote first, give clients the kubeconfig in the outputs, then go on";

/** Whether servers would go back to a CA that is distrusted now. */
function forgetsClients({ keysets }: KeypairsSeen, inputs: Properties): boolean {
  const { advanceTo, madeBefore } = inputsOf(inputs);
  if (isAtLeast(advanceTo, KeypairStage.Promote)) return false;
  const ca = keysets.find(({ name }) => name === kubernetesCa)?.keypairs ?? [];
  const primary = ca.find(({ isPrimary }) => isPrimary);
  return (
    primary !== undefined &&
    primary.madeAt >= madeBefore &&
    ca.some((keypair) => keypair.madeAt < madeBefore && (keypair.distrustedAt ?? 0) >= primary.madeAt)
  );
}

function inputsOf(inputs: Properties) {
  return keypairRotationInputs(withoutPlan(inputs));
}

function withoutPlan({ plan: _plan, ...inputs }: Properties): Properties {
  return inputs;
}

function settledOf(state: State | undefined): string | undefined {
  const settled = state?.outputs["settled"];
  return typeof settled === "string" ? settled : undefined;
}
