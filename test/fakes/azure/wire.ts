/** HTTP as the fakes see it: whole requests and whole answers. The server that moves them knows nothing of Azure but faults. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, FaultPlace } from "./faults";

export interface WireRequest {
  readonly method: string;
  /** Lower case, without a port. */
  readonly host: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: string;
  /** Milliseconds on a monotonic clock. */
  readonly at: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Where a request goes, and what is answered there. */
export interface Routed {
  readonly place: FaultPlace | undefined;
  answer(): WireAnswer;
}

const longestRequest = 64 * 1024;

export async function readRequest(request: IncomingMessage): Promise<WireRequest> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += (chunk as Buffer).length;
    if (length > longestRequest) throw new Error("the request is too long");
    chunks.push(chunk as Buffer);
  }
  const host = (request.headers.host ?? "").replace(/:\d+$/, "").toLowerCase();
  const url = new URL(request.url ?? "/", "http://any");
  return {
    method: request.method ?? "",
    host,
    path: url.pathname,
    query: url.searchParams,
    headers: Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(", ")]),
    ),
    body: Buffer.concat(chunks).toString("utf8"),
    at: performance.now(),
  };
}

/** Answers one request, by way of the fault that it meets. */
export async function respond(
  routed: Routed,
  fault: Fault | undefined,
  response: ServerResponse,
  now: () => number,
): Promise<void> {
  switch (fault?.kind) {
    case undefined:
      send(response, routed.answer(), now);
      return;
    case "answer":
      send(response, fault.answer, now);
      return;
    case "change":
      send(response, fault.change(routed.answer()), now);
      return;
    case "slow":
      await sleep(fault.ms);
      send(response, routed.answer(), now);
      return;
    case "reset":
      (response.socket as Socket).resetAndDestroy();
      return;
    case "hang":
      return;
    case "stall": {
      const { status, headers, body } = routed.answer();
      response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
      response.write(body.slice(0, body.length / 2));
    }
  }
}

function send(response: ServerResponse, answer: WireAnswer, now: () => number): void {
  if (response.destroyed) return;
  // Node's own Date would be this machine's; the fakes have a clock of their own.
  response.sendDate = false;
  response.writeHead(answer.status, {
    date: new Date(now()).toUTCString(),
    ...answer.headers,
    "content-length": Buffer.byteLength(answer.body),
  });
  response.end(answer.body);
}

export function jsonAnswer(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): WireAnswer {
  return {
    status,
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(body),
  };
}
