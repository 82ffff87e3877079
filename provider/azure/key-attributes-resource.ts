/** The AzureKeyAttributes resource: whether a version of a key is enabled, and when it expires. ARM ignores such changes. */
import { parseAzureKeyId } from "../../core/azure-key-id";
import { dateProblem, keyIdProblem } from "../../core/azure-key-vault-block";
import { azureRules } from "../../core/azure-rules/azure-rules";
import { checkRules, violationOf } from "../../core/azure-rules/rule";
import { describeError, KmsEtcdError } from "../../core/errors";
import { unknownInputViolations } from "../../core/input-rules";
import type { PlannedAttributes } from "../../rotation/adapters/aks/held-keys";
import type { AzureClients, KeyAttributes } from "../../rotation/adapters/azure/azure-clients";
import { changedProperties } from "../property-diff";
import { type Properties, unknown } from "../property-values";
import type { CheckProblem, Operation, Resource, State } from "../resource";
import type { KnownKeys } from "./known-keys";

export function createKeyAttributesResource(clients: () => AzureClients, known: KnownKeys): Resource {
  /** Makes the version what the inputs want, and no more than that. */
  async function apply(inputs: Properties, operation: Operation): Promise<Properties> {
    const keyId = textOf(inputs["keyId"]);
    const { keys } = clients();
    const found = await keys.attributesOf(keyId, operation.signal);
    if (found === undefined) {
      throw new KmsEtcdError("not-found", `there is no key version ${keyId}`, {
        remedy: "name a version that exists, as `az keyvault key list-versions` prints them",
      });
    }
    const wanted = wantedChanges(inputs, found);
    if (wanted.enabled === false) {
      await operation.warn(`${keyId} is disabled: nothing that only this version can decrypt can be read any more`);
    }
    const attributes =
      Object.keys(wanted).length === 0 ? found : await keys.setAttributes(keyId, wanted, operation.signal);
    await warnOfExpiry(attributes, operation);
    return outputsOf(keyId, attributes);
  }

  return {
    async check(olds, news, operation) {
      const problems = problemsOf(news);
      const { keyId } = news;
      if (problems.length > 0 || typeof keyId !== "string") return { inputs: news, problems };
      const wanted = plannedOf(news);
      known.plan(keyId, wanted);
      const { errors, warnings } = troubleOf(keyId, wanted, known.holderOf(keyId));
      // Said when it is to happen; what has happened is the business of whoever looks at the key.
      const isChange = inputNames.some((name) => olds?.[name] !== news[name]);
      if (isChange) for (const warning of warnings) await operation.warn(warning);
      return { inputs: news, problems: errors };
    },

    async diff(state, news) {
      return { inputs: changedProperties(state.inputs, news), outputs: driftOf(state, news) };
    },

    async create(inputs, preview, operation) {
      if (preview) return { id: "", outputs: expectedOutputs(inputs) };
      return { id: operation.name, outputs: await apply(inputs, operation) };
    },

    async read(state, operation) {
      const keyId = textOf(state.outputs["keyId"]);
      try {
        const found = await clients().keys.attributesOf(keyId, operation.signal);
        if (found !== undefined) {
          await warnOfExpiry(found, operation);
          return { ...state, outputs: outputsOf(keyId, found) };
        }
        await operation.warn(
          `${keyId} is gone: have the key back from the vault's deleted keys while that is possible`,
        );
      } catch (thrown) {
        await operation.warn(`whether ${keyId} is enabled could not be seen: ${describeError(thrown)}`);
      }
      return state;
    },

    async update(state, inputs, preview, operation) {
      if (!preview) return apply(inputs, operation);
      const { createdAt = unknown } = state.outputs;
      return { ...expectedOutputs(inputs), createdAt };
    },

    async delete(state, operation) {
      if (state.outputs["enabled"] === false) {
        await operation.warn(
          `${textOf(state.outputs["keyId"])} stays disabled; \`az keyvault key set-attributes\` enables it`,
        );
      }
    },
  };
}

/** What the inputs say outright. */
function plannedOf({ enabled, expiresOn }: Properties): PlannedAttributes {
  return {
    ...(typeof enabled === "boolean" ? { enabled } : {}),
    ...(typeof expiresOn === "string" ? { expiresOn: new Date(expiresOn).toISOString() } : {}),
  };
}

/** What disabling a version, or letting it expire, means: an error where a cluster of the same program holds it. */
function troubleOf(
  keyId: string,
  { enabled, expiresOn }: PlannedAttributes,
  holder: string | undefined,
): { readonly errors: readonly CheckProblem[]; readonly warnings: readonly string[] } {
  const now = new Date().toISOString();
  const facts = {
    ...(enabled === false && holder !== undefined ? { retiredKeyIds: [keyId], heldKeyIds: [keyId] } : {}),
    ...(expiresOn === undefined ? {} : { keyExpires: expiresOn, now }),
  };
  const { errors, warnings } = checkRules(azureRules, facts, { keyExpires: "expiresOn", retiredKeyIds: "enabled" });
  const disabled =
    enabled === false && holder === undefined
      ? [`${keyId} is going to be disabled: nothing that only this version can decrypt can be read any more`]
      : [];
  // Without a cluster that is known to need it, it may be what is wanted.
  const unsure = holder === undefined ? errors : [];
  return {
    errors: holder === undefined ? [] : errors.map(violationOf),
    warnings: [
      ...disabled,
      ...[...unsure, ...warnings].map(({ path, reason, remedy, id }) => `${path} ${reason}; ${remedy} (rule ${id})`),
    ],
  };
}

const inputNames = ["keyId", "enabled", "expiresOn"];

function problemsOf(inputs: Properties): readonly CheckProblem[] {
  const { keyId, enabled, expiresOn } = inputs;
  const keyProblem = keyId === unknown ? undefined : keyIdProblem(keyId);
  const expiryProblem = expiresOn === unknown || isAbsent(expiresOn) ? undefined : dateProblem(expiresOn);
  return [
    ...unknownInputViolations(inputs, inputNames),
    ...(keyProblem === undefined ? [] : [{ path: "keyId", reason: keyProblem }]),
    ...(enabled === unknown || isAbsent(enabled) || typeof enabled === "boolean"
      ? []
      : [{ path: "enabled", reason: `is ${JSON.stringify(enabled)}; write true or false` }]),
    ...(expiryProblem === undefined ? [] : [{ path: "expiresOn", reason: expiryProblem }]),
  ];
}

/** What has to change in a version that has `found`. Key Vault counts in seconds. */
function wantedChanges(inputs: Properties, found: KeyAttributes): Partial<KeyAttributes> {
  const { enabled, expiresOn } = inputs;
  const date = typeof expiresOn === "string" ? new Date(expiresOn) : undefined;
  return {
    ...(typeof enabled === "boolean" && enabled !== found.enabled ? { enabled } : {}),
    ...(date !== undefined && seconds(date) !== seconds(found.expiresOn) ? { expiresOn: date } : {}),
  };
}

/** Outputs that are not what the inputs want, though the inputs are what they were. */
function driftOf({ outputs }: State, news: Properties): readonly string[] {
  const { enabled, expiresOn } = news;
  const isOff = typeof enabled === "boolean" && outputs["enabled"] !== enabled;
  const seen = outputs["expiresOn"];
  const isLate =
    typeof expiresOn === "string" &&
    seconds(new Date(expiresOn)) !== seconds(typeof seen === "string" ? new Date(seen) : undefined);
  return [...(isOff ? ["enabled"] : []), ...(isLate ? ["expiresOn"] : [])];
}

function outputsOf(keyId: string, { enabled, expiresOn, createdOn }: KeyAttributes): Properties {
  return {
    keyId,
    enabled,
    ...(expiresOn === undefined ? {} : { expiresOn: expiresOn.toISOString() }),
    ...(createdOn === undefined ? {} : { createdAt: createdOn.toISOString() }),
  };
}

/** What is known before the update: what is not asked for stays as it is, and was not looked at. */
function expectedOutputs({ keyId, enabled, expiresOn }: Properties): Properties {
  return {
    keyId: keyId ?? unknown,
    enabled: enabled ?? unknown,
    expiresOn: typeof expiresOn === "string" ? new Date(expiresOn).toISOString() : unknown,
    createdAt: unknown,
  };
}

async function warnOfExpiry({ expiresOn }: KeyAttributes, operation: Operation): Promise<void> {
  if (expiresOn === undefined) return;
  const facts = { keyExpires: expiresOn.toISOString(), now: new Date().toISOString() };
  const { errors, warnings } = checkRules(azureRules, facts, { keyExpires: "expiresOn" });
  for (const { path, reason, remedy, id } of [...errors, ...warnings]) {
    await operation.warn(`${path} ${reason}; ${remedy} (rule ${id})`);
  }
}

function seconds(date: Date | undefined): number | undefined {
  return date === undefined ? undefined : Math.floor(date.getTime() / 1_000);
}

function textOf(value: Properties[string] | undefined): string {
  return typeof value === "string" && parseAzureKeyId(value) !== undefined ? value : "(an unknown key)";
}

function isAbsent(value: Properties[string] | undefined): boolean {
  return value === undefined || value === null;
}
