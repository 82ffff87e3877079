/** For how long, in this run, others have been at work on the control plane: what no single look can tell. */
import type { EtcdMember, Observation, ServerObservation } from "./observation";

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
    // A server that cannot be seen has no version.
    const differ = [servers, members].some((all) => {
      // What can't be seen has no version.
      const seen = all.flatMap(({ version }) => (version === undefined || version === "" ? [] : [version]));
      return new Set(seen).size > 1;
    });
    since = {
      ...(isBusy && { etcdBusySince: since.etcdBusySince ?? now }),
      ...(differ && { versionsDifferSince: since.versionsDifferSince ?? now }),
    };
    return since;
  };
}
