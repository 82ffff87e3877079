/**
 * Rules for plugins that somebody has set up by hand and that name a key in AWS KMS by an alias. An alias that is moved changes the key behind
 * an unchanged key_id (aws-encryption-provider reports the text of its `--key`), so what is stored before and after would look the same. ARNs
 * take the place of aliases before anything else is done.
 */
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import type { KeyAlias, PluginObservation, ServerObservation } from "../observation";
import { type Situation, usedEndpoints } from "../situation";
import { blocked, type Rule, wait } from "./rule";

/**
 * One host after the other, while all plugins of the others answer. What plugins with either text encrypt, the others decrypt: AWS KMS finds the
 * key by the ciphertext, and the plugin looks at no key_id. With KMS v2 the key_id becomes the ARN, so what is stored counts as stale until
 * the rotation that follows writes it anew. A cluster that writes with the goal's key already needs the alias no more.
 */
export const noKeyIsNamedByAnAlias: Rule = (situation) => {
  if (situation.writersAreTheGoals) return undefined;
  const plugins = situation.observed.servers.flatMap((server) => server.plugins.map((plugin) => ({ server, plugin })));
  const named = plugins.filter(({ plugin }) => (plugin.aliases ?? []).length > 0);
  const unclear = named
    .map(({ plugin, server }) => forPeople(plugin, server))
    .find((decision) => decision !== undefined);
  if (unclear !== undefined) return unclear;
  const unproven = plugins.find(({ plugin }) => plugin.namedByArn === "unproven");
  if (unproven !== undefined) return wait(RotationStage.Plugin, whyUnproven(unproven));
  const [next] = named;
  return next && (othersAnswer(situation, next.server) ?? nameByArn(next));
};

/** Invariant 11, for a plugin: a manifest with which it does not work must not stay. It comes before the rules that wait for its server. */
export const pluginsThatFailByArnGoBack: Rule = ({ observed, goal }) => {
  for (const server of observed.servers) {
    for (const plugin of server.plugins) {
      if (plugin.namedByArn !== "unproven") continue;
      const since = Math.max(plugin.startedAt, observed.runStartedAt);
      const hasGone = observed.setbacks.some(
        ({ kind, server: of, unfinished }) => kind === "pluginFailed" && of === server.name && unfinished !== true,
      );
      if (observed.now - since <= goal.limits.plugin || hasGone) continue;
      return {
        kind: "act",
        stage: RotationStage.Plugin,
        action: {
          kind: "restorePlugin",
          server: server.name,
          plugin: plugin.name,
          failed: `${whyUnproven({ server, plugin })}; its manifest is as it was before`,
        },
        reason: `${plugin.name} on ${server.name} gets back the manifest that it had before`,
      };
    }
  }
  return undefined;
};

/** For people. */
export function describeAlias(plugin: string, { alias, arn }: Pick<KeyAlias, "alias" | "arn">): string {
  return `the plugin ${plugin} names its key by ${alias}${arn === undefined ? "" : `, which is ${arn} now`}`;
}

/** What KMS does not say, and what can't be done for the user. */
function forPeople({ name, aliases = [] }: PluginObservation, server: ServerObservation): Decision | undefined {
  const unclear = aliases.find(({ arn, byHand }) => arn === undefined || byHand !== undefined);
  if (unclear === undefined) return undefined;
  const asked = { reason: "KMS was not asked which key it is", remedy: "write its ARN there" };
  const { reason, remedy } = (unclear.arn === undefined ? (unclear.problem ?? asked) : unclear.byHand) ?? asked;
  const what = `${describeAlias(name, unclear)} (on ${server.name}), and no rotation is begun from an alias: ${reason}`;
  return blocked(RotationStage.Plugin, what, remedy);
}

function othersAnswer({ observed, goal }: Situation, server: ServerObservation): Decision | undefined {
  for (const other of observed.servers) {
    if (other === server) continue;
    const used = usedEndpoints(other);
    const away = other.plugins.find(({ endpoint, problem }) => problem !== undefined && used.includes(endpoint));
    if (away === undefined) continue;
    const what = `${away.name} on ${other.name}: ${away.problem ?? ""}`;
    if (observed.now - observed.runStartedAt <= goal.limits.plugin) return wait(RotationStage.Plugin, what);
    return blocked(
      RotationStage.Plugin,
      `no plugin is restarted for its alias while another one does not answer: ${what}`,
      `mend ${away.name} on ${other.name} (its log says what it lacks), then run again`,
    );
  }
  return undefined;
}

function nameByArn({ server, plugin }: Place): Decision {
  const aliases = plugin.aliases ?? [];
  const [first] = aliases;
  const about = first === undefined ? plugin.name : describeAlias(plugin.name, first);
  return {
    kind: "act",
    stage: RotationStage.Plugin,
    action: {
      kind: "nameKeysByArn",
      server: server.name,
      plugin: plugin.name,
      arns: Object.fromEntries(aliases.flatMap(({ alias, arn }) => (arn === undefined ? [] : [[alias, arn]]))),
    },
    reason: `${about}: an alias can be moved without a trace, so the ARN takes its place before a rotation begins`,
  };
}

interface Place {
  readonly server: ServerObservation;
  readonly plugin: PluginObservation;
}

function whyUnproven({ server, plugin: { name, problem } }: Place): string {
  const why = problem ?? "the process of before still runs";
  return `${name} on ${server.name} has not used its key by the ARN that took the alias's place: ${why}`;
}
