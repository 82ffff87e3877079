/** One call as its handler sees it: the request, how long and whether the caller waits, and the way to answer. */
import type { ServerHttp2Stream } from "node:http2";
import { frameMessage } from "../../core/grpc-frame";
import { statusNumbers } from "../../core/grpc-status-code";
import type { Caller } from "./calls-under-way";
import type { GrpcStatus } from "./grpc-status";

const head = { ":status": 200, "content-type": "application/grpc" } as const;
const statusAfterMessage = { waitForTrailers: true } as const;
const ok = { "grpc-status": String(statusNumbers.OK) } as const;

export class UnaryCall<Request, Response> implements Caller {
  readonly request: Request;
  readonly timeoutMs: number;
  private readonly stream: ServerHttp2Stream;
  private readonly serialize: (response: Response) => Uint8Array;

  constructor(
    stream: ServerHttp2Stream,
    request: Request,
    timeoutMs: number,
    serialize: (response: Response) => Uint8Array,
  ) {
    this.stream = stream;
    this.request = request;
    this.timeoutMs = timeoutMs;
    this.serialize = serialize;
  }

  get hasLeft(): boolean {
    return this.stream.aborted;
  }

  /** Not told of a caller that had its answer. */
  onLeaving(listener: () => void): void {
    this.stream.once("aborted", listener);
  }

  /** Throws what `serialize` throws, and the call can still fail then. */
  answer(response: Response): void {
    const message = frameMessage(this.serialize(response));
    const { stream } = this;
    if (stream.headersSent || stream.closed) return;
    stream.respond(head, statusAfterMessage);
    stream.once("wantTrailers", sendOk);
    stream.end(message);
  }

  fail(status: GrpcStatus): void {
    refuse(this.stream, status);
  }
}

function sendOk(this: ServerHttp2Stream): void {
  this.sendTrailers(ok);
}

/** A status and no message: one block of headers. `headers` go with it. */
export function refuse(
  stream: ServerHttp2Stream,
  { code, details }: GrpcStatus,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (stream.headersSent || stream.closed) return;
  stream.respond(
    { ...head, "grpc-status": String(statusNumbers[code]), "grpc-message": encodeURI(details), ...headers },
    { endStream: true },
  );
  // What is left of a request that was refused before its end is not waited for (RFC 9113 section 8.1).
  if (!stream.readableEnded) stream.close();
}
