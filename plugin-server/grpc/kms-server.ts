/** A gRPC server on a unix socket that serves both KMS versions over one key. */
import { randomUUID } from "node:crypto";
import { chmodSync, linkSync, lstatSync, renameSync, rmSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { describeError, KmsEtcdError } from "../../core/errors";
import { kmsV1Service, kmsV2Service } from "../../core/kms-protocol";
import { claimSocket } from "./claim-socket";
import { kmsV1Handlers, kmsV2Handlers } from "./kms-handlers";
import type { ServedKey } from "./served-key";
import { createUnaryServer, type UnaryServer } from "./unary-server";

/** The API server and the owner's group may connect, nobody else. */
const socketMode = 0o660;
/**
 * Of one connection. An API server that starts may have thousands of calls: they wait on its side, where they cost nothing
 * here, instead of all asking the key's service at once and all running into their deadlines.
 */
const concurrentCalls = 100;
/** For the last answers to leave. */
const goodbyeMs = 200;
/** A KMS v2 Decrypt has at most 32 kB of annotations, 6 kB of ciphertext and 1 kB each of key_id and uid. */
const longestRequest = 64 * 1024;

export interface KmsServer {
  readonly socket: string;
  /** Whether the socket at the path is still ours: another process may have put its own there. */
  ownsSocket(): Promise<boolean>;
  /** Takes no new call, waits for those under way for at most `limitMs`, then ends them. Removes the socket. */
  stop(limitMs: number): Promise<void>;
}

/** Throws `conflict` when a running process serves the socket. */
export async function startKmsServer(socket: string, key: ServedKey): Promise<KmsServer> {
  await claimSocket(socket);
  const server = createUnaryServer({ longestRequest, concurrentCalls });
  server.serve(kmsV2Service, kmsV2Handlers(key));
  server.serve(kmsV1Service, kmsV1Handlers(key));
  const ino = await bind(server, socket);
  return {
    socket,
    ownsSocket: async () => {
      const present = await lstat(socket).catch(() => undefined);
      return present?.ino === ino;
    },
    stop: async (limitMs) => {
      const ended = sparingOthers(socket, ino, () => server.close());
      // Until the last call has ended and its answer has had time to leave. Connections are not waited for: one that has said
      // nothing yet, or half of its greeting, would never end.
      const deadline = performance.now() + limitMs;
      do {
        if (await endsWithin(ended, Math.min(goodbyeMs, limitMs))) return;
      } while (key.calls.count > 0 && performance.now() < deadline);
      key.calls.cutOffAll(new KmsEtcdError("unreachable", "the plugin is stopping"));
      await endsWithin(ended, goodbyeMs);
      server.destroy();
    },
  };
}

/**
 * Closing a server removes the file at its path, whosever it is. A socket that another process has put there meanwhile gets a
 * second name before and has its own again in the same instant: the plugin that took over must not become deaf by our end.
 */
function sparingOthers<Result>(socket: string, ours: number, close: () => Result): Result {
  const present = lstatSync(socket, { throwIfNoEntry: false });
  if (present === undefined || present.ino === ours) return close();
  const kept = `${socket}.${randomUUID()}`;
  linkSync(socket, kept);
  try {
    return close();
  } finally {
    renameSync(kept, socket);
    // To rename one name of a file to another one of it does nothing: here where closing has removed nothing.
    rmSync(kept, { force: true });
  }
}

/** Gives the socket's inode. The umask makes the socket closed from its first moment; chmod makes its mode independent of the umask. */
async function bind(server: UnaryServer, socket: string): Promise<number> {
  try {
    const umask = process.umask(0o777 & ~socketMode);
    const listening = server.listen(socket);
    process.umask(umask);
    await listening;
    chmodSync(socket, socketMode);
    return lstatSync(socket).ino;
  } catch (error) {
    const closed = server.close();
    server.destroy();
    await closed;
    throw new KmsEtcdError("invalid-input", `can't listen on ${socket}: ${describeError(error)}`, {
      remedy: "see that its directory exists and that this user may write there",
      cause: error,
    });
  }
}

async function endsWithin(ended: Promise<void>, limitMs: number): Promise<boolean> {
  const waiting = new AbortController();
  const limit = delay(limitMs, false, { signal: waiting.signal }).catch(() => false);
  try {
    return await Promise.race([ended.then(() => true), limit]);
  } finally {
    waiting.abort();
  }
}
