/** One open connection, which carries one request after another. */
import type { Socket } from "node:net";
import { type PostAnswer, readAnswer } from "./post-answer";

/** One request and what becomes of it. */
export interface Exchange {
  /** Head and body. */
  readonly text: string;
  /** Carries it now. Whoever gives up destroys it: the answer may still come. */
  carrier: KeptConnection | undefined;
  isOver(): boolean;
  /** With an answer, an error, or undefined for an answer in a form that `readAnswer` doesn't read. */
  end(outcome: PostAnswer | Error | undefined): void;
}

export interface KeptConnection {
  /** When the request was written that has had no byte of an answer; undefined while there is none. */
  readonly silentSince: number | undefined;
  /** When it was last seen to work. */
  readonly heardAt: number;
  carry(exchange: Exchange): void;
  destroy(reason: Error): void;
}

export interface KeptConnectionLimits {
  /** Milliseconds without a byte of an answer. */
  readonly answerTimeoutMs: number;
  /** Milliseconds that a connection is kept which nothing uses. */
  readonly idleMs: number;
  /** Bytes of a body. */
  readonly longestAnswer: number;
}

export interface ConnectionEvents {
  /** The next exchange may begin. */
  free(connection: KeptConnection): void;
  /** It is gone. `unsent` was to be carried, and no byte of it has left. */
  gone(connection: KeptConnection, unsent: Exchange | undefined): void;
  otherForm(): void;
}

/** An error as Node's own, which are told by their code. */
export function connectionError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** A service that ends a connection after a while must not do so while a request is on its way to it. */
const onItsWayMs = 1_000;

/** `socket` has just been opened, and nothing else uses it. */
export function keepConnection(
  socket: Socket,
  { answerTimeoutMs, idleMs, longestAnswer }: KeptConnectionLimits,
  events: ConnectionEvents,
): KeptConnection {
  let carried: Exchange | undefined;
  let isWritten = false;
  let isNew = true;
  let isGone = false;
  let received: Buffer | undefined;
  let silentSince: number | undefined;
  let heardAt = performance.now();

  const idle = (ms: number): void => {
    socket.setTimeout(ms);
    socket.unref();
  };

  const end = (outcome: Error | undefined): void => {
    if (isGone) return;
    isGone = true;
    socket.destroy();
    const exchange = carried;
    carried = undefined;
    if (isWritten) exchange?.end(outcome);
    events.gone(connection, isWritten ? undefined : exchange);
  };

  const connection: KeptConnection = {
    get silentSince() {
      return silentSince;
    },
    get heardAt() {
      return heardAt;
    },
    carry(exchange) {
      carried = exchange;
      exchange.carrier = connection;
      isWritten = false;
      socket.ref();
      const write = (): void => {
        if (carried !== exchange) return;
        isWritten = true;
        silentSince = performance.now();
        socket.setTimeout(answerTimeoutMs);
        socket.write(exchange.text);
      };
      // First what has come in meanwhile is seen, an end or an answer that nobody asked for (as undici does since
      // GHSA-35p6-xmwp-9g52).
      if (isNew) write();
      else setImmediate(write);
      isNew = false;
    },
    destroy: end,
  };

  socket
    .on("data", (chunk: Buffer) => {
      if (carried === undefined || !isWritten) {
        end(connectionError("EBADMSG", "an answer that nobody asked for"));
        return;
      }
      silentSince = undefined;
      received = received === undefined ? chunk : Buffer.concat([received, chunk]);
      const seen = readAnswer(received, longestAnswer);
      if (seen.kind === "incomplete") return;
      if (seen.kind === "other form") {
        events.otherForm();
        end(undefined);
        return;
      }
      const exchange = carried;
      carried = undefined;
      // It may hold a secret.
      received = undefined;
      heardAt = performance.now();
      const openFor = Math.min(idleMs, seen.openForMs - onItsWayMs);
      if (openFor > 0) {
        idle(openFor);
        events.free(connection);
      } else end(undefined);
      exchange.end(seen.answer);
    })
    // Before it is closed there is a moment in which nothing can be written any more.
    .on("end", () => end(connectionError("ECONNRESET", "the service has ended the connection")))
    .on("timeout", () => end(connectionError("ETIMEDOUT", "no answer in time")))
    .on("error", end)
    .on("close", () => end(connectionError("ECONNRESET", "the connection was closed")));
  idle(idleMs);
  return connection;
}
