/**
 * Rules for the plugins themselves: that they answer, hold the same key, and run with the settings that are wanted. A changed
 * image is a risk of its own, so it comes to one host after the other, and only while the others' plugins answer.
 */
import type { PluginInstance } from "../../core/plugin-instance";
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import type { Goal } from "../goal";
import type { Observation, PluginObservation, ServerObservation } from "../observation";
import { isUnseen, type Situation, usedEndpoints } from "../situation";
import { blocked, type Rule, wait } from "./rule";

/**
 * A plugin that does not answer, and whose settings are no longer those that are wanted, gets them: they were wrong and have been
 * corrected. It comes before the rules that wait for servers, which may not be ready for want of it.
 */
export const failingPluginsGetTheirSettings: Rule = (situation) => {
  // On a host that cannot be seen one may be about to run anew.
  if (situation.observed.servers.some(isUnseen)) return undefined;
  for (const plugin of situation.goal.declared) {
    const seen = instancesOf(situation, plugin);
    // The new settings have not helped yet: they are no better, or not given the time.
    if (seen.some(({ instance }) => instance.problem !== undefined && instance.outdated === undefined)) continue;
    if (seen.some(({ instance }) => awaitsRestart(instance, situation.observed, situation.goal.limits))) continue;
    const failing = seen.find(({ instance }) => instance.problem !== undefined && mayBeReplaced(instance));
    if (failing !== undefined) return replaced(plugin, failing);
  }
  return undefined;
};

/** One host at a time; each new one answers, and works crosswise with the others, before anything else is done. */
export const pluginsRunAsDeclared: Rule = (situation) => {
  for (const plugin of situation.goal.declared) {
    if (!isKept(situation, plugin)) continue;
    const seen = instancesOf(situation, plugin);
    const outdated = seen.find(({ instance }) => mayBeReplaced(instance));
    if (outdated === undefined && !isOnItsWay(situation, plugin, seen)) continue;
    const servers = seen.map(({ server }) => server);
    const decision =
      pluginDecision(situation, plugin, servers) ??
      crosswiseDecision(situation, plugin, servers) ??
      (outdated && replaced(plugin, outdated));
    if (decision !== undefined) return decision;
  }
  return undefined;
};

/** The last one that was replaced too. Of the goal's own plugin, which may just come to be, the next rule says when it is proven. */
function isOnItsWay({ goal, observed }: Situation, plugin: PluginInstance, seen: readonly Instance[]): boolean {
  if (isOfTheWriter(goal, plugin)) return false;
  return seen.some(
    ({ instance }) => instance.startedAt > observed.runStartedAt || awaitsRestart(instance, observed, goal.limits),
  );
}

interface Instance {
  readonly server: ServerObservation;
  readonly instance: PluginObservation;
}

function instancesOf({ observed }: Situation, { name }: PluginInstance): readonly Instance[] {
  return observed.servers.flatMap((server) => {
    const instance = instanceOn(server, name);
    return instance === undefined ? [] : [{ server, instance }];
  });
}

function instanceOn({ plugins }: ServerObservation, name: string): PluginObservation | undefined {
  return plugins.find((candidate) => candidate.name === name);
}

function isOfTheWriter({ writer }: Goal, { name }: PluginInstance): boolean {
  return writer !== "identity" && writer.name === name;
}

/** What somebody has edited by hand is theirs. */
function mayBeReplaced({ outdated }: PluginObservation): boolean {
  return outdated?.isEdited === false;
}

/** One that nothing names is stopped in the end. */
function isKept({ goal, observed, endpointOf }: Situation, plugin: PluginInstance): boolean {
  return (
    isOfTheWriter(goal, plugin) || observed.servers.some((server) => usedEndpoints(server).includes(endpointOf(plugin)))
  );
}

function replaced(plugin: PluginInstance, { server, instance }: Instance): Decision {
  return {
    kind: "act",
    stage: RotationStage.Plugin,
    action: { kind: "startPlugin", server: server.name, plugin },
    reason: `${plugin.name} on ${server.name} runs with other settings than are wanted (${instance.outdated?.differences.join(", ") ?? ""})`,
  };
}

/** Start, wait for, or give up on `plugin` on each of `servers`; undefined once it answers on all of them. */
export function pluginDecision(
  { observed, goal }: Situation,
  plugin: PluginInstance,
  servers: readonly ServerObservation[],
): Decision | undefined {
  const waiting: string[] = [];
  for (const server of servers) {
    const seen = instanceOn(server, plugin.name);
    if (seen === undefined) {
      return {
        kind: "act",
        stage: RotationStage.Plugin,
        action: { kind: "startPlugin", server: server.name, plugin },
        reason: `${server.name} needs ${plugin.name}`,
      };
    }
    const why =
      seen.problem ?? (awaitsRestart(seen, observed, goal.limits) ? "it runs with its former settings" : undefined);
    if (why === undefined) continue;
    const problem = `${plugin.name} on ${server.name}: ${why}`;
    // One whose settings are about to be corrected has its time before it.
    if (
      !mayBeReplaced(seen) &&
      observed.now - seen.startedAt > goal.limits.plugin &&
      observed.now - observed.runStartedAt > goal.limits.plugin
    ) {
      return blocked(
        RotationStage.Plugin,
        problem,
        `look at the log of ${plugin.name} on ${server.name}, or, where it has none, for what keeps it from starting (an image that the host cannot get, a kubelet that does not run, a file that was written again without a change); where its settings are wrong, correct them; then run again`,
      );
    }
    waiting.push(problem);
  }
  return waiting.length === 0 ? undefined : wait(RotationStage.Plugin, waiting.join("; "));
}

/**
 * A kubelet takes a while to see another manifest, and the former process answers until then. A manifest whose time alone has
 * changed makes no process new, so only one that this run has written is waited for without an end.
 */
function awaitsRestart(
  { listeningSince, startedAt }: PluginObservation,
  { now, runStartedAt }: Observation,
  limits: Goal["limits"],
): boolean {
  if (listeningSince === undefined || listeningSince >= startedAt) return false;
  return startedAt > runStartedAt || now - startedAt <= limits.plugin;
}

/** Invariant 1: what each of the plugins encrypts, each other one decrypts; undefined once that has been seen. */
export function crosswiseDecision(
  { observed }: Situation,
  plugin: PluginInstance,
  among: readonly ServerObservation[],
): Decision | undefined {
  const servers = among.map((server) => server.name);
  const keyIds = among.map((server) => instanceOn(server, plugin.name)?.keyId);
  const proof = observed.crosswise.find(
    (candidate) =>
      candidate.plugin === plugin.name &&
      servers.every((name) => candidate.servers.includes(name)) &&
      // It counts while every plugin still is what was tried: one that came back with another key is another plugin.
      (candidate.failure !== undefined || keyIds.every((keyId) => keyId === candidate.keyId)),
  );
  if (proof === undefined) {
    return {
      kind: "measure",
      stage: RotationStage.Plugin,
      measurement: { kind: "crosswise", plugin, servers },
      reason: `what each host's ${plugin.name} encrypts, every other host's must decrypt`,
    };
  }
  if (proof.failure === undefined) return undefined;
  return blocked(
    RotationStage.Plugin,
    `the plugins for ${plugin.name} do not hold the same key, or cannot use it: ${proof.failure}`,
    `give every host the same key and the same program; where a changed image is to blame, put the former one back and take ${plugin.name}'s manifest off the hosts that have the other; then run again`,
  );
}
