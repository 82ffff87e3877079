/** The AzureVaultAccess resource: waits until a vault lets us work with its keys. Nothing else says that a grant has arrived. */
import { setTimeout as sleep } from "node:timers/promises";
import { KmsEtcdError } from "../../core/errors";
import { unknownInputViolations } from "../../core/input-rules";
import type { AzureClients } from "../../rotation/adapters/azure/azure-clients";
import { isNetworkRefusal } from "../../rotation/adapters/azure/azure-failure";
import { changedProperties } from "../property-diff";
import { type Properties, unknown } from "../property-values";
import type { CheckProblem, Operation, Resource } from "../resource";

/** Azure speaks of up to ten minutes. */
const defaultTimeoutSeconds = 600;
/** A name that was just made may lead to the public endpoint for a while. */
const networkGraceMs = 60_000;
const firstPauseMs = 500;
const longestPauseMs = 10_000;

export function createVaultAccessResource(clients: () => AzureClients): Resource {
  async function wait(inputs: Properties, operation: Operation): Promise<Properties> {
    const vaultUri = typeof inputs["vaultUri"] === "string" ? inputs["vaultUri"] : "";
    const seconds = typeof inputs["timeoutSeconds"] === "number" ? inputs["timeoutSeconds"] : defaultTimeoutSeconds;
    const start = performance.now();
    for (let pause = firstPauseMs; ; pause = Math.min(2 * pause, longestPauseMs)) {
      const refused = await clients()
        .keys.list(vaultUri, operation.signal)
        .then(
          () => undefined,
          (thrown: unknown) => thrown as Error,
        );
      if (refused === undefined) return { vaultUri };
      const waited = performance.now() - start;
      if (!mayPass(refused, waited) || waited + pause > seconds * 1_000) throw refused;
      operation.progress(`waiting for access to ${vaultUri} (${Math.round(waited / 1_000)} s)`);
      await sleep(pause, undefined, { signal: operation.signal }).catch((cause: unknown) => {
        throw new KmsEtcdError("cancelled", `stopped while waiting for access to ${vaultUri}`, { cause });
      });
    }
  }

  return {
    async check(_olds, news) {
      return { inputs: news, problems: problemsOf(news) };
    },
    async diff(state, news) {
      // Another limit is no reason to wait again.
      const { timeoutSeconds: _before, ...before } = state.inputs;
      const { timeoutSeconds: _now, ...now } = news;
      return { inputs: changedProperties(before, now), outputs: [] };
    },
    async create(inputs, preview, operation) {
      if (preview) return { id: "", outputs: { vaultUri: inputs["vaultUri"] ?? unknown } };
      return { id: operation.name, outputs: await wait(inputs, operation) };
    },
    read: async (state) => state,
    async update(_state, inputs, preview, operation) {
      return preview ? { vaultUri: inputs["vaultUri"] ?? unknown } : wait(inputs, operation);
    },
    delete: async () => undefined,
  };
}

/** Grants and names spread in time; what the network refuses after that stays refused. */
function mayPass(thrown: Error, waitedMs: number): boolean {
  if (!(thrown instanceof KmsEtcdError)) return false;
  if (thrown.code === "permission-denied" && isNetworkRefusal(thrown)) return waitedMs < networkGraceMs;
  return ["permission-denied", "unreachable", "throttled"].includes(thrown.code);
}

function problemsOf(inputs: Properties): readonly CheckProblem[] {
  const { vaultUri, timeoutSeconds } = inputs;
  const isUri = vaultUri === unknown || (typeof vaultUri === "string" && /^https:\/\/[^/]+\/?$/.test(vaultUri));
  const isTime =
    timeoutSeconds === undefined ||
    timeoutSeconds === null ||
    timeoutSeconds === unknown ||
    (typeof timeoutSeconds === "number" && timeoutSeconds > 0);
  return [
    ...unknownInputViolations(inputs, ["vaultUri", "timeoutSeconds"]),
    ...(isUri ? [] : [{ path: "vaultUri", reason: "is no vault's address; write https://VAULT.vault.azure.net/" }]),
    ...(isTime ? [] : [{ path: "timeoutSeconds", reason: "is no time; write a number of seconds greater than 0" }]),
  ];
}
