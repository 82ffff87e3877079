/** What is kept before anything goes: on request, a snapshot of etcd from right before PRUNE. */

import { providerIds } from "../../core/encryption-configuration";
import { RotationStage } from "../../core/rotation-stage";
import type { WriteKey } from "../../core/write-key";
import { isEtcdUnchanged } from "../proofs";
import type { Rule } from "./rule";
import { isPruned } from "./writer-rules";

/**
 * Once in a run that prunes: everything is stored with the new key then and every configuration still reads the old one, so
 * that the snapshot can be restored with either. Where a server has let go already, an earlier run has taken it.
 */
export const snapshotIsKept: Rule = (situation) => {
  const { observed, goal, targets } = situation;
  const { etcdSnapshot } = goal;
  if (etcdSnapshot === undefined || observed.servers.some((server) => isPruned(situation, server))) return undefined;
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
    reason: `a snapshot of etcd is kept in ${etcdSnapshot.directory} before anything leaves a configuration`,
  };
};
