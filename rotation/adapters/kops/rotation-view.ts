/**
 * A kOps cluster in the form of every other platform's observation, so that evidence, plans and the retirement of keys are made by the
 * same rules: a machine is a server whose file is the secret.
 */

import type { Observation, ServerObservation } from "../../observation";
import { settledSince } from "../../settled";
import type { KopsGoal } from "./kops-decision";
import type { KopsObservation, Machine } from "./kops-observation";
import { pluginsNamed, validSecretOf } from "./kops-situation";
import { kopsEndpoint } from "./plugin-asset";

/** Kubernetes' own; kOps' machines are replaced, so no request outlives a change of theirs. */
const requestTimeout = 60_000;

export function rotationView(observed: KopsObservation, goal: KopsGoal): Observation {
  const { now, run, strangers } = observed;
  const view: Observation = {
    now,
    runStartedAt: now,
    servers: observed.machines.map((machine) => serverOf(machine, observed, goal)),
    unlistedServers: strangers,
    discoveryProblem: undefined,
    discovery:
      "machines that kOps lists in instance groups with API servers, and the API servers' identity Leases in kube-system",
    crosswise: [],
    stored: run.stored,
    readThrough: run.readThrough,
    setbacks: [],
    written: [],
    rewrites: run.rewrites,
    settledAt: undefined,
  };
  const isSettled = view.servers.every(({ unreachable }) => unreachable === undefined);
  return { ...view, settledAt: isSettled ? settledSince(undefined, view, true) : undefined };
}

function serverOf(machine: Machine, observed: KopsObservation, goal: KopsGoal): ServerObservation {
  const secret = validSecretOf(observed);
  const loaded = loadedOf(machine, observed);
  return {
    name: machine.name,
    unreachable: machine.unreachable,
    notReady: undefined,
    troubleSince: undefined,
    version: machine.version,
    reload: "restart",
    processStartedAt: machine.processStartedAt,
    restartRequestedAt: undefined,
    lastReadyHash: undefined,
    requestTimeout,
    file: machine.loaded.kind === "none" || secret === undefined ? undefined : { ...secret, writtenAt: 0 },
    loaded,
    plugins: pluginsNamed(loaded.config ?? { blocks: [] }, goal).map((plugin) => ({
      name: plugin.name,
      endpoint: kopsEndpoint(plugin),
      startedAt: machine.processStartedAt,
      keyId: plugin.key.kind === "aws" ? plugin.key.keyArn : undefined,
      problem: undefined,
    })),
  };
}

function loadedOf({ loaded, processStartedAt: since, group, needsUpdate }: Machine, observed: KopsObservation) {
  const at = { since, failures: 0 };
  if (loaded.kind === "hash") {
    const basis = "apiserver_encryption_config_controller_last_config_info";
    return { ...at, hash: loaded.hash, config: loaded.known?.config, basis };
  }
  if (loaded.kind === "none")
    return { ...at, hash: undefined, config: undefined, basis: "the server names no loaded file" };
  const secret = validSecretOf(observed);
  if (secret !== undefined && !needsUpdate && observed.run.rolledFor[group] === secret.hash) {
    return { ...at, ...secret, basis: "the machine was made from what its group was told with this secret" };
  }
  return { ...at, hash: undefined, config: undefined, basis: "its version does not say what is loaded" };
}
