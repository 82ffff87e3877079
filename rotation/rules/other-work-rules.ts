/**
 * Somebody else at work on the same control plane: an upgrade, a change of etcd's members, a backup. Nothing is at stake while
 * the rotation waits, because every stage can be stayed in, so nothing new is begun beside it. Repairs are done all the same.
 */
import { RotationStage } from "../../core/rotation-stage";
import type { Decision } from "../decision";
import type { Observation } from "../observation";
import { versionsOf } from "../versions-of";
import { blocked, type Rule, wait } from "./rule";

/** A cluster may live with two patch levels for good. An upgrade goes on within this time. */
const longestPause = 10 * 60_000;

/** An upgrade restarts servers one after the other, and so does a rotation: each would take the other's for a failure. */
export const noUpgradeIsUnderWay: Rule = ({ observed }) => {
  const versions = versionsOf(observed.servers);
  if (versions.length < 2) return undefined;
  const of = versions.map((version) => {
    const names = observed.servers.flatMap((server) => (server.version === version ? [server.name] : []));
    return `${names.join(", ")} ${names.length === 1 ? "runs" : "run"} ${version}`;
  });
  if (!areOfOneMinor(versions)) {
    return blocked(
      RotationStage.Plugin,
      `an upgrade of the API servers is under way: ${of.join("; ")}`,
      "finish it, or take it back, until all of them run one minor version; then run again",
    );
  }
  return unlessItStays(observed, `an upgrade of the API servers (${of.join("; ")})`);
};

/** Versions as "v1.36.3" or "3.6.5". */
function areOfOneMinor(versions: readonly string[]): boolean {
  return new Set(versions.map((version) => version.split(".", 2).join("."))).size < 2;
}

function unlessItStays({ now, versionsDifferSince = now }: Observation, what: string): Decision | undefined {
  return now - versionsDifferSince <= longestPause ? wait(RotationStage.Plugin, `${what} to end`) : undefined;
}

/** A member that joins, an alarm, an upgrade of etcd: a rewrite writes every object, and would meet each of them. */
export const etcdIsWell: Rule = ({ observed }) => {
  const { etcdMembers = [] } = observed;
  const versions = versionsOf(etcdMembers);
  const upgrade = `an upgrade is under way: its members run ${versions.join(" and ")}`;
  const [problem] = [
    ...etcdMembers.flatMap((member) => member.problems.map((text) => `${member.name}: ${text}`)),
    ...etcdMembers.flatMap(({ name, state }) =>
      state === "joining" ? [`${name} is on its way into the cluster`] : [],
    ),
    ...(areOfOneMinor(versions) ? [] : [upgrade]),
  ];
  if (problem === undefined) return versions.length < 2 ? undefined : unlessItStays(observed, `etcd: ${upgrade}`);
  return blocked(
    RotationStage.Plugin,
    `etcd: ${problem}`,
    "see `etcdctl endpoint status`, `member list` and `alarm list`; finish or mend that, then run again",
  );
};

/** A backup that is taken in the middle of a rewrite needs both keys: it waits for none, so the rotation does. */
export const etcdIsNotBusy: Rule = ({ observed, goal }) => {
  const busy = (observed.etcdMembers ?? []).filter(({ underWay }) => underWay.length > 0);
  if (busy.length === 0) return undefined;
  const what = busy.map(({ name, underWay }) => `a ${underWay.join(" and a ")} of etcd on ${name}`).join(", ");
  if (observed.now - (observed.etcdBusySince ?? observed.now) <= goal.limits.backup)
    return wait(RotationStage.Plugin, `${what} to end`);
  return blocked(
    RotationStage.Plugin,
    `${what} is still under way`,
    "let the backup or the maintenance of etcd end, then run again",
  );
};
