/** For how long, in this run, others have been at work on the control plane: what no single look can tell. */
import type { EtcdMember, Observation, ServerObservation } from "./observation";
import { versionsOf } from "./versions-of";

type Since = Pick<Observation, "etcdBusySince" | "versionsDifferSince">;

/** Called at every look. */
export function otherWorkSince(): (
  now: number,
  servers: readonly Pick<ServerObservation, "version">[],
  members: readonly EtcdMember[],
) => Since {
  let since: Since = {};
  return (now, servers, members) => {
    const isBusy = members.some(({ underWay }) => underWay.length > 0);
    const differ = [servers, members].some((all) => versionsOf(all).length > 1);
    since = {
      ...(isBusy && { etcdBusySince: since.etcdBusySince ?? now }),
      ...(differ && { versionsDifferSince: since.versionsDifferSince ?? now }),
    };
    return since;
  };
}
