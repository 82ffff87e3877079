/**
 * Makes a socket's path free to bind: what a dead process left is removed, what a live one serves is never touched.
 * Upstream plugins remove whatever they find, and the first instance is then alive but deaf.
 */
import { randomUUID } from "node:crypto";
import { linkSync, lstatSync, renameSync, type Stats, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { KmsEtcdError } from "../../core/errors";

/** A process that accepts no connection in this time is busy, not dead. */
const connectLimitMs = 1_000;

/** Throws `conflict` for a live owner, and `invalid-input` for something that is no socket. */
export async function claimSocket(path: string): Promise<void> {
  const found = present(path);
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new KmsEtcdError("invalid-input", `${path} exists and is not a socket`, {
      remedy: "move it away or choose another path",
    });
  }
  const owner = await ownerOf(path);
  if (owner === "hidden") {
    throw new KmsEtcdError(
      "conflict",
      `${path} belongs to another user, and this one may not see whether it is served`,
      {
        remedy: "remove the file if nothing serves it any more; else choose another socket, or run as its user",
      },
    );
  }
  if (owner === "alive") {
    throw new KmsEtcdError("conflict", `a running process serves ${path}`, {
      remedy: "stop it, or choose another socket",
    });
  }
  remove(path, found);
}

function present(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Only ECONNREFUSED says that nobody listens; "hidden" is a socket that this user may not connect to, dead or alive. */
function ownerOf(path: string): Promise<"alive" | "dead" | "hidden"> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (owner: "alive" | "dead" | "hidden") => {
      socket.destroy();
      resolve(owner);
    };
    socket.setTimeout(connectLimitMs, () => answer("alive"));
    socket.once("connect", () => answer("alive"));
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      if (code === "ECONNREFUSED" || code === "ENOENT") answer("dead");
      else answer(code === "EACCES" || code === "EPERM" ? "hidden" : "alive");
    });
  });
}

/**
 * Another instance may have started at the same moment and bound the path since we looked. So the file is first moved
 * aside, which is atomic, and goes back if it turns out to be another one than the dead one.
 */
function remove(path: string, dead: Stats): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  const moved = lstatSync(aside);
  const isDead = moved.ino === dead.ino && moved.ctimeMs >= dead.ctimeMs && moved.birthtimeMs === dead.birthtimeMs;
  if (!isDead) linkSync(aside, path);
  unlinkSync(aside);
  if (!isDead) {
    throw new KmsEtcdError("conflict", `another process has just begun to serve ${path}`, {
      remedy: "let one of the two serve it",
    });
  }
}
