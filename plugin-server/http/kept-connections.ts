/**
 * POST requests to one origin over connections that stay open: the request that a provider makes over and over. Of the 0.5 ms
 * of CPU that a call of the plugin takes, undici takes 0.2 for a request over TLS, and this 0.05 (docs/adr/0008). undici opens
 * the connections, and reads every form of answer that this doesn't.
 */
import type { buildConnector } from "undici";
import {
  connectionError,
  type Exchange,
  type KeptConnection,
  type KeptConnectionLimits,
  keepConnection,
} from "./kept-connection";
import type { PostAnswer } from "./post-answer";

export interface PostRequest {
  readonly path: string;
  /** Of the origin unless given. */
  readonly host?: string | undefined;
  /** Without `Host`, `Connection` and `Content-Length`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly signal?: AbortSignal | undefined;
}

export interface KeptConnections {
  /**
   * Undefined when the origin doesn't answer in the form that is read here, which no later request will try again: ask by
   * undici. The request may have been carried out, so it must be one that can be repeated. Rejects with the connection's error.
   */
  post(request: PostRequest): Promise<PostAnswer | undefined>;
  /** Requests that are under way fail. */
  close(): void;
}

export interface KeptConnectionsOptions extends KeptConnectionLimits {
  readonly origin: URL;
  readonly connect: buildConnector.connector;
  /** More requests at once than that wait for each other. */
  readonly connections: number;
  /**
   * A connection without a byte of an answer for so long may be dead, and with it all that were open before: of a way
   * through the network that is gone nobody is told. Idle ones of that age are then closed and not tried one by one.
   */
  readonly silenceMs: number;
}

/** What a header may not hold (RFC 9110 section 5.5): a line end would begin another one. Nor what isn't ASCII. */
const notInHeaders = /[^\t\x20-\x7e]/;
const notInPaths = /[^\x21-\x7e]/;

export function createKeptConnections(options: KeptConnectionsOptions): KeptConnections {
  const { origin, connect } = options;
  const open = new Set<KeptConnection>();
  const idle: KeptConnection[] = [];
  const waiting: Exchange[] = [];
  /** Whose connections are being opened. */
  const opening = new Set<Exchange>();
  let isReadable = true;
  /** What was not seen to work since then may be dead. */
  let doubtedBefore = Number.NEGATIVE_INFINITY;
  let isClosed = false;

  const closed = (): Error => connectionError("ECONNABORTED", "the connections are closed");

  function start(exchange: Exchange): void {
    const connection = nextIdle();
    if (connection !== undefined) connection.carry(exchange);
    else if (open.size + opening.size < options.connections) openFor(exchange);
    else waiting.push(exchange);
  }

  function nextIdle(): KeptConnection | undefined {
    if (idle.length > 0) for (const connection of open) doubt(connection);
    for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
      if (connection.heardAt >= doubtedBefore) return connection;
      connection.destroy(connectionError("ECONNRESET", "the connection may be dead"));
    }
    return undefined;
  }

  function doubt({ silentSince }: KeptConnection): void {
    if (silentSince !== undefined && performance.now() - silentSince >= options.silenceMs)
      doubtedBefore = Math.max(doubtedBefore, silentSince);
  }

  function nextWaiting(): Exchange | undefined {
    let exchange = waiting.shift();
    while (exchange?.isOver()) exchange = waiting.shift();
    return exchange;
  }

  function startNext(): void {
    const exchange = nextWaiting();
    if (exchange !== undefined) start(exchange);
  }

  function free(connection: KeptConnection): void {
    const exchange = nextWaiting();
    if (exchange === undefined) idle.push(connection);
    else connection.carry(exchange);
  }

  function openFor(exchange: Exchange): void {
    opening.add(exchange);
    const { host, protocol, port } = origin;
    // As undici asks for it: an IPv6 address has its brackets in URLs only.
    const hostname = origin.hostname.replace(/^\[|\]$/g, "");
    connect({ host, hostname, protocol, port }, (...[error, socket]) => {
      opening.delete(exchange);
      if (error !== null) {
        exchange.end(error);
        startNext();
        return;
      }
      if (isClosed) {
        socket.destroy();
        return;
      }
      const connection = keepConnection(socket, options, {
        free,
        gone(gone, unsent) {
          doubt(gone);
          open.delete(gone);
          const place = idle.indexOf(gone);
          if (place >= 0) idle.splice(place, 1);
          if (isClosed) unsent?.end(closed());
          else if (unsent !== undefined && !unsent.isOver()) start(unsent);
          else startNext();
        },
        otherForm() {
          isReadable = false;
          for (const exchange of waiting.splice(0)) exchange.end(undefined);
        },
      });
      open.add(connection);
      if (exchange.isOver()) free(connection);
      else connection.carry(exchange);
    });
  }

  return {
    post({ path, host = origin.host, headers, body, signal }) {
      if (!isReadable) return Promise.resolve(undefined);
      return new Promise((resolve, reject) => {
        if (isClosed) throw closed();
        let isOver = false;
        const exchange: Exchange = {
          text: requestText(host, path, headers, body),
          carrier: undefined,
          isOver: () => isOver,
          end(outcome) {
            if (isOver) return;
            isOver = true;
            signal?.removeEventListener("abort", abort);
            if (outcome instanceof Error) reject(outcome);
            else resolve(outcome);
          },
        };
        const abort = (): void => {
          const reason = connectionError("ABORT_ERR", "the call is over");
          exchange.end(reason);
          exchange.carrier?.destroy(reason);
        };
        if (signal?.aborted) {
          abort();
          return;
        }
        signal?.addEventListener("abort", abort, { once: true });
        start(exchange);
      });
    },
    close() {
      isClosed = true;
      for (const exchange of [...waiting.splice(0), ...opening]) exchange.end(closed());
      for (const connection of [...open]) connection.destroy(closed());
    },
  };
}

function requestText(host: string, path: string, headers: Readonly<Record<string, string>>, body: string): string {
  const refuse = (what: string): Error => connectionError("ERR_INVALID_CHAR", `${what} can't be sent`);
  if (notInPaths.test(path)) throw refuse("the path");
  if (notInHeaders.test(host)) throw refuse("the value of host");
  let head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const name in headers) {
    const value = headers[name] ?? "";
    if (notInHeaders.test(value)) throw refuse(`the value of ${name}`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
