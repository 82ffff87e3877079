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
}

/** What a header may not hold (RFC 9110 section 5.5): a line end in a value would begin another header. */
const notInHeaders = /[^\t\x20-\x7e\x80-\xff]/;

export function createKeptConnections(options: KeptConnectionsOptions): KeptConnections {
  const { origin, connect } = options;
  const open = new Set<KeptConnection>();
  const idle: KeptConnection[] = [];
  const waiting: Exchange[] = [];
  let opening = 0;
  let isReadable = true;
  let isClosed = false;

  const closed = (): Error => connectionError("ECONNABORTED", "the connections are closed");

  function start(exchange: Exchange): void {
    const connection = idle.pop();
    if (connection !== undefined) connection.carry(exchange);
    else if (open.size + opening < options.connections) openFor(exchange);
    else waiting.push(exchange);
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
    opening += 1;
    const { host, hostname, protocol, port } = origin;
    connect({ host, hostname, protocol, port }, (...[error, socket]) => {
      opening -= 1;
      if (error !== null) {
        exchange.end(error);
        startNext();
        return;
      }
      if (isClosed) {
        socket.destroy();
        exchange.end(closed());
        return;
      }
      const connection = keepConnection(socket, options, {
        free,
        gone(gone, unsent) {
          open.delete(gone);
          const place = idle.indexOf(gone);
          if (place >= 0) idle.splice(place, 1);
          if (isClosed) unsent?.end(closed());
          else if (unsent !== undefined && !unsent.isOver()) start(unsent);
          else startNext();
        },
        otherForm() {
          isReadable = false;
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
      for (const exchange of waiting.splice(0)) exchange.end(closed());
      for (const connection of [...open]) connection.destroy(closed());
    },
  };
}

function requestText(host: string, path: string, headers: Readonly<Record<string, string>>, body: string): string {
  let head = `POST ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: keep-alive\r\n`;
  for (const name in headers) {
    const value = headers[name] ?? "";
    if (notInHeaders.test(value))
      throw connectionError("ERR_INVALID_CHAR", `header ${name} has a value that can't be sent`);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
