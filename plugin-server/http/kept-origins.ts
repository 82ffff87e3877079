/** The kept connections to all origins that undici has reached before, so that it is known how to connect there. */
import type { buildConnector } from "undici";
import { createKeptConnections, type KeptConnectionsOptions, type PostRequest } from "./kept-connections";
import type { PostAnswer } from "./post-answer";

export interface KeptOrigins {
  /** undici has made a pool for this origin: through a proxy or not, `connect` leads there. */
  reached(origin: string | URL, connect: buildConnector.connector): void;
  /** Undefined for what only undici can send: see `KeptConnections`. */
  post(origin: string, request: PostRequest): Promise<PostAnswer | undefined>;
  /** Requests that are under way fail. */
  close(): void;
}

export function createKeptOrigins(limits: Omit<KeptConnectionsOptions, "origin" | "connect">): KeptOrigins {
  const kept = new Map<string, ReturnType<typeof createKeptConnections>>();
  return {
    reached(origin, connect) {
      const name = String(origin);
      // undici makes another pool when the connections of one have ended: those that are kept must stay within reach of `close`.
      if (!kept.has(name)) kept.set(name, createKeptConnections({ ...limits, origin: new URL(origin), connect }));
    },
    post: (origin, request) => kept.get(origin)?.post(request) ?? Promise.resolve(undefined),
    close() {
      for (const connections of kept.values()) connections.close();
    },
  };
}
