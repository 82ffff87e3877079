/** PLUGIN to PRUNE on kOps: the spec first, then the secret, then the machines; and back the other way. */
import { endpointsOf, type ProviderItem, readersOf } from "../../../../core/encryption-configuration";
import { RotationStage } from "../../../../core/rotation-stage";
import { withoutObjectNames } from "../../../object-names";
import { staleTotal } from "../../../proofs";
import { addReaders, promote, sameList, slotProviders, withSlotProviders } from "../../../slots";
import type { KopsDecision } from "../kops-decision";
import {
  type KopsSituation,
  type KopsSlot,
  plaintextConfig,
  settingsFor,
  textFor,
  validStored,
} from "../kops-situation";
import { isAssetOf, isOfGroups, isOurAsset, pluginsOf, withKmsSettings, withoutPlugins } from "../merge-cluster-spec";
import type { AssetPlugin } from "../plugin-manifest-reader";
import { blocked, finalList, isFinal, type KopsRule, putCluster, putNextSecret, putSecret } from "./kops-rule";

const rewriteAttempts = 3;
const cleanRewrites = 10;

/**
 * A plugin leaves the spec after the secret has let go of it, and before the roll for that, which so serves both: machines keep
 * the plugins that they have until they are replaced. It could come back, because its key is declared.
 */
export const unusedPluginsLeave: KopsRule = (situation) => {
  const { goal } = situation;
  const isDeclared = (plugin: AssetPlugin) =>
    isOurAsset(plugin.asset) && goal.declared.some((declared) => isAssetOf(declared, plugin.asset));
  return leave(situation, unusedPlugins(situation).filter(isDeclared));
};

/** Of others, made by hand or from a key that is not declared any more, nobody could bring one back: they leave in the end. */
export const otherPluginsLeave: KopsRule = (situation) => leave(situation, unusedPlugins(situation));

/**
 * Plugins of the spec that no configuration needs: not the secret's, and not the next one's. One that machines without an API server get
 * too is left where it is: an update without it would change those as well, and that is no part of a rotation.
 */
function unusedPlugins({ observed, config, goal, groups }: KopsSituation): readonly AssetPlugin[] {
  const named = endpointsOf(config);
  const others = observed.groups.filter(({ name }) => !groups.some((group) => group.name === name));
  return pluginsOf(observed.cluster).filter(
    (plugin) =>
      !plugin.sockets.some((socket) => named.has(`unix://${socket}`)) &&
      (goal.writer === "identity" || !isAssetOf(goal.writer, plugin.asset)) &&
      !isOfGroups(observed.cluster, plugin, others),
  );
}

function leave(situation: KopsSituation, leaving: readonly AssetPlugin[]): KopsDecision | undefined {
  if (leaving.length === 0) return undefined;
  const reason = `the secret names ${leaving.map((plugin) => plugin.name).join(", ")} no more`;
  return putCluster(situation, RotationStage.Prune, withoutPlugins(situation.observed.cluster, leaving), reason);
}

/** kOps refuses an update with encryption on and no secret. Plaintext is what the cluster has: nothing changes by saying so. */
export const thereIsASecret: KopsRule = (situation) => {
  if (situation.observed.secret !== undefined || staysOff(situation)) return undefined;
  const text = textFor(situation, plaintextConfig(situation.goal.resources));
  return putSecret(
    situation,
    RotationStage.Plugin,
    text,
    "there is no encryptionconfig secret yet; the first one says plaintext",
  );
};

/** The new plugin is in the spec, and by the rules before in every group, before the secret names it (invariant 4). */
export const theNewPluginIsInTheSpec: KopsRule = (situation) => {
  const { observed, goal } = situation;
  if (staysOff(situation)) return undefined;
  const plugins = goal.writer === "identity" ? [] : [goal.writer];
  const wanted = withKmsSettings(observed.cluster, settingsFor(situation, plugins));
  if (JSON.stringify(wanted) === JSON.stringify(observed.cluster)) return undefined;
  const what = goal.writer === "identity" ? "encryption settings" : `the plugin ${goal.writer.name}`;
  return putCluster(situation, RotationStage.Plugin, wanted, `the cluster's spec gets ${what}`);
};

/** A cluster that never was encrypted, and is not to be. */
function staysOff({ observed, goal }: KopsSituation): boolean {
  return goal.writer === "identity" && observed.cluster.spec.encryptionConfig !== true;
}

export const theNewKeyIsReadable: KopsRule = (situation) =>
  secretWith(
    situation,
    RotationStage.Read,
    ({ item, writer }, list) => (readersOf(list).has(writer) ? list : addReaders(list, [item])),
    "every machine will have the plugin; now they learn to read with it",
  );

export const theNewKeyWrites: KopsRule = (situation) =>
  secretWith(
    situation,
    RotationStage.Write,
    ({ writer }, list) => promote(list, writer),
    "every machine reads with the new key; now they write with it",
  );

/**
 * etcd is out of reach, and through API servers a look at what is stored writes what is stale: it would do the rewrite's work under another
 * name. So what may be stale is rewritten before the first look, as the goal says (`rewriteBy`).
 */
export const everyObjectIsRewritten: KopsRule = (situation) => {
  const { observed, targets } = situation;
  const { rewrites } = observed.run;
  const proof = validStored(situation);
  if (proof === undefined && rewrites.count === 0 && !isFinal(situation)) {
    const reason =
      "with which key objects are stored cannot be seen without access to etcd, which kOps keeps to its machines, so all are written again";
    return { kind: "act", stage: RotationStage.Rewrite, action: { kind: "rewrite", targets }, reason };
  }
  if (proof === undefined) {
    const rewritten = rewrites.count > 0 && rewrites.failures.length === 0;
    const stage = rewritten ? RotationStage.Verify : RotationStage.Rewrite;
    return {
      kind: "measure",
      stage,
      measurement: { kind: "stored", targets },
      reason: "what is stored, and with which key",
    };
  }
  const unknown = proof.resources.reduce((sum, entry) => sum + entry.unknown, 0);
  if (unknown > 0 && proof.method === "etcd") {
    return blocked(
      RotationStage.Verify,
      `${unknown} stored values cannot be understood, so it is not known which key they need`,
      "see which with `etcdctl get --prefix --keys-only`; rewrite or delete them, then run again",
    );
  }
  const stale = staleTotal(proof, targets);
  if (stale === 0) return undefined;
  if (rewrites.failures.length > 0 && rewrites.count >= rewriteAttempts) {
    const reasons = rewrites.failures.map(({ resource, reason }) => `${resource}: ${withoutObjectNames(reason)}`);
    return blocked(
      RotationStage.Rewrite,
      `${rewrites.failures.length} objects could not be written again (${[...new Set(reasons)].slice(0, 3).join("; ")})`,
      "mend what refuses the write (often an admission webhook), then run again; until then both keys stay in the configuration",
    );
  }
  if (rewrites.count >= cleanRewrites) {
    return blocked(
      RotationStage.Rewrite,
      `${stale} objects still use another key after ${rewrites.count} rewrites`,
      "look for an API server that no instance group has and that still writes with the old key",
    );
  }
  const reason = `${stale} objects use another key`;
  return { kind: "act", stage: RotationStage.Rewrite, action: { kind: "rewrite", targets }, reason };
};

export const oldProvidersLeave: KopsRule = (situation) =>
  secretWith(
    situation,
    RotationStage.Prune,
    (kopsSlot) => finalList(situation, kopsSlot),
    "nothing stored needs the old provider",
  );

function secretWith(
  situation: KopsSituation,
  stage: RotationStage,
  change: (kopsSlot: KopsSlot, list: readonly ProviderItem[]) => readonly ProviderItem[],
  reason: string,
): KopsDecision | undefined {
  let { config } = situation;
  for (const kopsSlot of situation.slots) {
    const present = slotProviders(config, kopsSlot.slot);
    const wanted = change(kopsSlot, present);
    // A slot that nobody encrypts yet has no block; plaintext alone needs none.
    if (!sameList(present, wanted)) config = withSlotProviders(config, kopsSlot.slot, wanted);
  }
  return config === situation.config ? undefined : putNextSecret(situation, stage, textFor(situation, config), reason);
}
