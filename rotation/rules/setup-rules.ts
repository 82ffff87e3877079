/**
 * Rules for servers that the engine may set up itself: the flag for the encryption configuration, and the directories that it
 * names. It restarts the server, so it is done to one at a time, and before anything is written.
 */
import { RotationStage } from "../../core/rotation-stage";
import { trouble } from "./fleet-rules";
import { blocked, names, type Rule, wait } from "./rule";

/** Invariant 3: one after the other, while all are ready and have loaded what they were given. The rules before see to the latter. */
export const everyServerIsSetUp: Rule = ({ observed, goal }) => {
  if (observed.servers.every(({ setUp, setUpUnproven }) => setUp === undefined && setUpUnproven !== true))
    return undefined;
  for (const { name, setUp } of observed.servers) {
    if (setUp?.refused !== undefined) return blocked(RotationStage.Plugin, `${name}: ${setUp.reason}`, setUp.refused);
  }
  // Its old process may still run with the same configuration: it is on its way all the same. One that is away has had its time.
  const restarting = observed.servers.filter(
    (server) => server.restartRequestedAt !== undefined && trouble(server) === undefined,
  );
  for (const { name, restartRequestedAt = 0 } of restarting) {
    if (observed.now - Math.max(restartRequestedAt, observed.runStartedAt) <= goal.limits.restart) continue;
    return blocked(
      RotationStage.Plugin,
      `${name} was asked to restart and still runs its old process`,
      "see whether the kubelet of that host works, then run again",
    );
  }
  if (restarting.length > 0) return wait(RotationStage.Plugin, `${names(restarting)} to restart`);
  // Invariant 3's exception: what a server in trouble lacks may be just this, after an upgrade that made its manifest anew.
  const troubled = observed.servers.filter((server) => trouble(server) !== undefined);
  if (troubled.some(({ setUp }) => setUp === undefined)) return undefined;
  const server = troubled[0] ?? observed.servers.find(({ setUp }) => setUp !== undefined);
  if (server?.setUp === undefined) return undefined;
  // One that would not start has been put back: its like would not start either.
  if (observed.setbacks.length > 0) return undefined;
  return {
    kind: "act",
    stage: RotationStage.Plugin,
    action: { kind: "setUp", server: server.name },
    reason: `${server.name} is set up for encryption: ${server.setUp.reason}`,
  };
};

/** Invariant 11, for a manifest: one with which the server does not start must not stay. */
export const setUpThatFailsIsUndone: Rule = ({ observed }) => {
  for (const server of observed.servers) {
    const why = trouble(server);
    if (why === undefined || server.setUpUnproven !== true) continue;
    if (observed.setbacks.some((setback) => setback.server === server.name && setback.unfinished !== true)) continue;
    return {
      kind: "act",
      stage: RotationStage.Plugin,
      action: {
        kind: "undoSetUp",
        server: server.name,
        failed: `${server.name} did not become ready after it was set up for encryption: ${why}`,
      },
      reason: `${server.name} gets back the manifest that it had before`,
    };
  }
  return undefined;
};
