/** This process as the holder of the engine's Lease. On the same machine it is known at once whether a holder still lives. */
import { hostname, userInfo } from "node:os";
import type { EngineIdentity } from "../../engine-lease";
import { isAlive, lockFileName, ownLock, parseLockFileName } from "./lock-owner";

/** One for each run: two runs of one process differ. */
export function engineIdentity(): EngineIdentity {
  const owner = ownLock();
  return {
    holder: `${userName()}@${hostname()}, process ${owner.pid} [${lockFileName(owner)}]`,
    isAlive: (holder) => {
      const other = parseLockFileName(/\[([^\]]*)\]$/.exec(holder)?.[1] ?? "");
      return other && isAlive(other);
    },
  };
}

/** A container's user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? "unknown"}`;
  }
}
