/** On request: a snapshot of etcd right before PRUNE, and after it no trace of earlier keys in what etcd has overwritten. */

import { providerIds } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { WriteKey } from "../../core/write-key";
import { isEtcdUnchanged, validStored } from "../proofs";
import { blocked, names, type Rule } from "./rule";
import { isPruned } from "./writer-rules";

/**
 * Once in a run that prunes: everything is stored with the new key then and every configuration still reads the old one, so
 * that the snapshot can be restored with either. Where some server has let go already, an earlier run may have taken one, or
 * may not have been asked for it: the others still read the old key, so one is kept now.
 */
export const snapshotIsKept: Rule = (situation) => {
  const { observed, goal, targets } = situation;
  const { etcdSnapshot } = goal;
  const pruned = observed.servers.filter((server) => isPruned(situation, server));
  if (etcdSnapshot === undefined || pruned.length === observed.servers.length) return undefined;
  const { snapshot } = observed;
  if (snapshot?.directory === etcdSnapshot.directory && isEtcdUnchanged(observed.etcd, snapshot.etcd)) return undefined;
  // Blocks that the goal does not name are written with what stands first in them.
  const writers: readonly WriteKey[] = observed.servers.flatMap((server) =>
    (server.loaded.config?.blocks ?? []).flatMap(({ providers: [first] }) =>
      (first === undefined ? [] : providerIds(first)).slice(0, 1).map((provider) => ({ provider })),
    ),
  );
  return {
    kind: "measure",
    stage: RotationStage.Prune,
    measurement: {
      kind: "snapshot",
      directory: etcdSnapshot.directory,
      writers: [...targets.map(({ key }) => key), ...writers],
    },
    reason: `a snapshot of etcd is kept in ${etcdSnapshot.directory} before anything ${pruned.length === 0 ? "leaves a configuration" : `more leaves a configuration (${names(pruned)} has let go already, in an earlier run)`}`,
  };
};

/**
 * At the goal, so with a proof that is still valid: at the revision where etcd stands now, every value has the goal's key, and
 * what was overwritten before may go. It is the last step, because nothing of it can be taken back.
 */
export const oldRevisionsAreForgotten: Rule = ({ observed, goal, targets }) => {
  const isWanted = goal.compact === "now" || (goal.compact === "afterPrune" && observed.written.length > 0);
  if (!isWanted || observed.compacted !== undefined) return undefined;
  if (observed.etcd === undefined || validStored(observed, targets)?.method !== "etcd") {
    return blocked(
      RotationStage.Prune,
      "what etcd has overwritten is to be forgotten, but what it holds was not seen in etcd itself",
      "give the engine access to etcd, or leave compactAfterPrune out",
    );
  }
  return {
    kind: "act",
    stage: RotationStage.Prune,
    action: { kind: "compact", revision: observed.etcd.revision },
    reason: "etcd forgets what was overwritten",
  };
};
