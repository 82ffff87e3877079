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
  if (await isServed(path)) {
    throw new KmsEtcdError("conflict", `a running process serves ${path}`, {
      remedy: "stop it, or choose another socket",
    });
  }
  remove(path, found);
}

function present(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** Only ECONNREFUSED says that nobody listens. */
function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (served: boolean) => {
      socket.destroy();
      resolve(served);
    };
    socket.setTimeout(connectLimitMs, () => answer(true));
    socket.once("connect", () => answer(true));
    socket.once("error", (error: NodeJS.ErrnoException) =>
      answer(error.code !== "ECONNREFUSED" && error.code !== "ENOENT"),
    );
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
