/** WRITE, REWRITE, VERIFY and PRUNE: the new key takes over, and the old provider goes when nothing stored needs it. */
import { type ProviderItem, writerOf } from "../../core/encryption-configuration";
import { isOurProviderName } from "../../core/provider-name";
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import { failedObjects } from "../object-failures";
import { withoutObjectNames } from "../object-names";
import type { ServerObservation } from "../observation";
import { staleTotal, validReadThrough, validStored } from "../proofs";
import { type GoalSlot, identityItem, listOf, type Situation, usedEndpoints } from "../situation";
import { promote, sameList, withSlotProviders } from "../slots";
import { oneAct } from "./reader-rules";
import { blocked, configWrite, count, names, type Rule, wait } from "./rule";

/** A rewrite that leaves objects behind is tried this often before the engine says so; no reader goes before. */
const rewriteAttempts = 3;
/** Clean rewrites after which objects still turn up with another key: somebody else is writing them. */
const cleanRewrites = 10;
/** apiserver encryptionconfig/controller, EncryptionConfigFileChangePollDuration. */
const reloadInterval = 60_000;

/** WRITE: only once every server has loaded the new reader; by now the rules before have seen to that. */
export const newKeyWrites: Rule = (situation) => {
  const { observed, slots } = situation;
  const writesOther = (server: ServerObservation) =>
    slots.some(({ slot, writer }) => writerOf(listOf(server, slot)) !== writer);
  const others = observed.servers.filter(writesOther);
  if (others.length === 0) return undefined;
  const reason = `every server reads ${[...new Set(slots.map(({ writer }) => writer))].join(", ")}; now it writes`;
  return writeDecision(situation, RotationStage.Write, oneAct(others), reason, (server, { slot, writer }) =>
    promote(listOf(server, slot), writer),
  );
};

/** REWRITE until a measurement finds nothing stored with another key. */
export const everyObjectIsRewritten: Rule = (situation) => {
  const { observed, targets } = situation;
  const proof = validStored(observed, targets);
  if (proof === undefined) {
    const unseen = unseenIsRewritten(situation);
    if (unseen !== undefined) return unseen;
    const rewritten = observed.rewrites.count > 0 && observed.rewrites.failures.length === 0;
    return {
      kind: "measure",
      stage: rewritten ? RotationStage.Verify : RotationStage.Rewrite,
      measurement: { kind: "stored", targets },
      reason: "what is stored, and with which key",
    };
  }
  const unknown = proof.resources.reduce((sum, entry) => sum + entry.unknown, 0);
  if (unknown > 0 && proof.method === "etcd") {
    return blocked(
      RotationStage.Verify,
      `${count(unknown, "stored value")} cannot be understood, so it is not known which key they need`,
      "see which with `etcdctl get --prefix --keys-only`; rewrite or delete them, then run again",
    );
  }
  const stale = staleTotal(proof, targets);
  if (stale === 0) return undefined;
  const { failures } = observed.rewrites;
  if (failures.length > 0 && observed.rewrites.count >= rewriteAttempts) {
    const reasons = [
      ...new Set(failures.map(({ resource, reason }) => `${resource}: ${withoutObjectNames(reason)}`)),
    ].slice(0, 3);
    return blocked(
      RotationStage.Rewrite,
      `${count(failedObjects(failures), "object")} could not be written again (${reasons.join("; ")})`,
      "mend what refuses the write (often an admission webhook), then run again; until then both keys stay in every configuration",
    );
  }
  if (observed.rewrites.count >= cleanRewrites) {
    return blocked(
      RotationStage.Rewrite,
      `${count(stale, "object")} still use another key after ${observed.rewrites.count} rewrites`,
      "look for an API server that is not listed and still writes with the old key",
    );
  }
  return {
    kind: "act",
    stage: RotationStage.Rewrite,
    action: { kind: "rewrite", targets },
    reason: `${count(stale, "object")} use another key`,
  };
};

/**
 * Through API servers a measurement writes what is stale, so it would do the rewrite's work under another name: what may be
 * stale is rewritten before the first one, as the goal says (`rewriteBy`), and once no request from before is left, so that
 * one rewrite and one proof are enough.
 */
function unseenIsRewritten(situation: Situation): Decision | undefined {
  const { observed, targets } = situation;
  if (observed.measuresByWriting !== true || !mayBeStale(situation)) return undefined;
  const { settledAt, now, rewrites } = observed;
  if (settledAt === undefined || now < settledAt) {
    return wait(RotationStage.Rewrite, "requests from before the write gate to have ended");
  }
  if (rewrites.startedAt !== undefined && rewrites.startedAt >= settledAt) return undefined;
  return {
    kind: "act",
    stage: RotationStage.Rewrite,
    action: { kind: "rewrite", targets },
    reason: "with which key objects are stored cannot be seen without access to etcd, so all are written again",
  };
}

/** Without a look at what is stored: where every server has only the goal's providers left, what can be read was stored with them. */
export function mayBeStale(situation: Situation): boolean {
  return !situation.observed.servers.every((server) => isPruned(situation, server));
}

/**
 * VERIFY: the measurement must have begun when no request from before the WRITE gate could still be under way, because
 * such a request may store its object with the old key after the gate.
 */
export const theProofIsLateEnough: Rule = ({ observed, targets }) => {
  const proof = validStored(observed, targets);
  if (proof === undefined || (observed.settledAt !== undefined && proof.startedAt >= observed.settledAt))
    return undefined;
  if (observed.settledAt === undefined || observed.now < observed.settledAt) {
    return wait(RotationStage.Verify, "requests from before the write gate to have ended");
  }
  return {
    kind: "measure",
    stage: RotationStage.Verify,
    measurement: { kind: "stored", targets },
    reason: "no request from before the write gate is left",
  };
};

/** PRUNE on one server, a full pass through that server, then on the rest (invariant 10). */
export const oldProvidersLeave: Rule = (situation) => {
  const { observed } = situation;
  const pruned = observed.servers.filter((server) => isPruned(situation, server));
  const rest = observed.servers.filter((server) => !isPruned(situation, server));
  const [first] = pruned;
  // Alone, a server has nobody who follows: it is still read through once, by the run that pruned it.
  const alone = observed.servers.length === 1 && observed.written.length > 0;
  if (rest.length === 0 && !alone) return undefined;
  if (first !== undefined && !pruned.some((server) => validReadThrough(observed, server) !== undefined)) {
    return {
      kind: "measure",
      stage: RotationStage.Prune,
      measurement: {
        kind: "readThrough",
        server: first.name,
        resources: situation.targets.map((target) => target.resource),
      },
      reason: `${first.name} has let go of the old provider: every object is read through it before the others follow`,
    };
  }
  if (rest.length === 0) return undefined;
  const { unproven = [], doubts = [], method } = validStored(observed, situation.targets) ?? {};
  if (doubts.length > 0) {
    return blocked(
      RotationStage.Prune,
      `what was seen in etcd is not enough to remove a key, because it could not be compared with the API servers: ${doubts.join("; ")}`,
      "let the API servers answer that (rights of the engine's identity: docs/permissions.md), then run again",
    );
  }
  if (unproven.length > 0) {
    return blocked(
      RotationStage.Prune,
      `no API server serves ${unproven.join(", ")}, so it is not known which key its objects need`,
      method === "etcd"
        ? "serve it again (--runtime-config) and run again, or delete it from etcd if nobody will"
        : "serve a version of it, delete its CRD, or give access to etcd, where its objects can be counted",
    );
  }
  const next = pruned.length === 0 ? soonestToLoad(rest, observed.now).slice(0, 1) : oneAct(rest);
  return writeDecision(
    situation,
    RotationStage.Prune,
    next,
    `nothing stored needs the old provider; ${names(next)} lets it go`,
    (_, goalSlot) => finalList(situation, goalSlot),
  );
};

/** Invariant 4: a plugin stops after the configurations let go. Only ours: what others put on the host stays. */
export const unusedPluginsStop: Rule = (situation) => {
  for (const server of situation.observed.servers) {
    const inUse = usedEndpoints(server);
    // By name, not by what is declared: a key that was declared once has left its plugin behind.
    const present = [...server.plugins.map(({ name }) => name), ...(server.idlePlugins ?? [])];
    for (const plugin of present.filter(isOurProviderName)) {
      if (inUse.some((endpoint) => endpoint.endsWith(`/${plugin}.socket`))) continue;
      return {
        kind: "act",
        stage: RotationStage.Prune,
        action: { kind: "stopPlugin", server: server.name, plugin },
        reason: `no configuration on ${server.name} names ${plugin} any more`,
      };
    }
  }
  return undefined;
};

/** A server looks at its file once a minute, counted from its start: the one that looks next keeps the others waiting least. */
function soonestToLoad(servers: readonly ServerObservation[], now: number): readonly ServerObservation[] {
  const untilNextLook = (server: ServerObservation) => reloadInterval - ((now - server.loaded.since) % reloadInterval);
  return [...servers].sort((a, b) => untilNextLook(a) - untilNextLook(b));
}

/** Whether the server's file has nothing but the goal's providers left. */
export function isPruned(situation: Situation, server: ServerObservation): boolean {
  return situation.slots.every((goalSlot) => isFinal(situation, server, goalSlot));
}

function isFinal(situation: Situation, server: ServerObservation, goalSlot: GoalSlot): boolean {
  return sameList(listOf(server, goalSlot.slot), finalList(situation, goalSlot));
}

function finalList({ goal }: Situation, { item }: GoalSlot): readonly ProviderItem[] {
  return goal.allowPlaintextReads && item.kind !== "identity" ? [item, identityItem] : [item];
}

function writeDecision(
  { slots }: Situation,
  stage: RotationStage,
  servers: readonly ServerObservation[],
  reason: string,
  listFor: (server: ServerObservation, goalSlot: GoalSlot) => readonly ProviderItem[],
): Decision {
  const writes = servers.map((server) => {
    let config = server.file?.config ?? { blocks: [] };
    for (const goalSlot of slots) {
      config = withSlotProviders(config, goalSlot.slot, listFor(server, goalSlot));
    }
    return configWrite(server, config);
  });
  return { kind: "act", stage, action: { kind: "writeConfig", writes }, reason };
}
