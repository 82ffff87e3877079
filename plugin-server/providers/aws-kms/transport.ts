/**
 * How requests reach AWS: undici in place of the SDK's node:http handler, because it takes 0.1 ms less CPU of some 0.35 ms a
 * request, sees a connection die while it idles, and knows proxies. One set of connections serves all keys.
 */
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type * as Undici from "undici";
import { KmsEtcdError } from "../../../core/errors";
import { createKeptOrigins } from "../../http/kept-origins";
import type { AwsEnvironment, ProxySettings } from "./environment";

/** The parts of the SDK's HttpRequest that are used. */
export interface OutgoingRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body?: string | Uint8Array;
}

export interface IncomingResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

/** The SDK's port for HTTP. */
interface RequestHandler extends Record<string, unknown> {
  readonly metadata: { readonly handlerProtocol: string };
  handle(request: OutgoingRequest): Promise<{ response: IncomingResponse }>;
  updateHttpClientConfig(): void;
  httpHandlerConfigs(): Record<string, never>;
  destroy(): void;
}

export interface Transport {
  /** What KMSClient takes as `requestHandler`. Its `destroy` leaves the connections to their other users. */
  readonly handler: RequestHandler;
  /**
   * A request that may be repeated, to an origin that `handler` has sent one to. Undefined where only `handler` can send it.
   */
  post(request: OutgoingRequest, signal: AbortSignal): Promise<IncomingResponse | undefined>;
  /** Ends the sending of `request` by `handler` when `signal` aborts. */
  bindSignal(request: object, signal: AbortSignal): void;
  /** Ends all connections; requests that are under way fail. */
  close(): Promise<void>;
}

export interface TransportOptions {
  /** For each of connecting, waiting for the answer's head, and waiting for more of its body. */
  readonly attemptTimeoutMs: number;
  readonly environment: Pick<AwsEnvironment, "caBundleFile" | "proxy">;
  /** PEM; undefined: those that Node brings along. AWS_CA_BUNDLE wins. */
  readonly authorities?: readonly string[] | undefined;
}

/**
 * Enough for some 10,000 requests per second at 6 ms each; more wait in line. An API server has at most 600 requests in
 * flight unless told otherwise (`--max-requests-inflight` 400 and `--max-mutating-requests-inflight` 200).
 */
const connectionsPerOrigin = 64;

/** The plugin is asked at least once a minute (API server's Status poll), so that the connection outlives the pause. */
const idleConnectionMs = 90_000;

/** Real answers have less than 2 kB. */
const longestAnswer = 64 * 1024;

const userAgent = `kms-etcd-plugin node/${process.versions.node}`;

export function createTransport(options: TransportOptions): Transport {
  const { caBundleFile } = options.environment;
  const authorities = caBundleFile === undefined ? options.authorities : [readCaBundle(caBundleFile)];
  const { attemptTimeoutMs } = options;
  const openDispatchers = (): Dispatchers =>
    createDispatchers(
      {
        connect: {
          timeout: attemptTimeoutMs,
          // One context for all connections: to parse a host's authorities takes 30 ms.
          ...(authorities === undefined ? {} : { secureContext: createSecureContext({ ca: [...authorities] }) }),
        },
        connections: connectionsPerOrigin,
        pipelining: 1,
        keepAliveTimeout: idleConnectionMs,
        headersTimeout: attemptTimeoutMs,
        bodyTimeout: attemptTimeoutMs,
        factory: pool,
      },
      options.environment.proxy,
    );
  // With the first request, not with the start.
  let dispatchers: Dispatchers | undefined;
  const kept = createKeptOrigins({
    connections: connectionsPerOrigin,
    answerTimeoutMs: attemptTimeoutMs,
    idleMs: idleConnectionMs,
    longestAnswer,
    // Before the next attempt of a call: it is not to try another dead connection.
    silenceMs: 0.7 * attemptTimeoutMs,
  });
  const signals = new WeakMap<object, AbortSignal>();

  /** undici asks for a pool when it needs an origin first: then it is known how to connect there, through a proxy or not. */
  function pool(origin: string | URL, { connect: connection, ...poolOptions }: Undici.Pool.Options): Undici.Dispatcher {
    /* eslint-disable @typescript-eslint/no-require-imports */
    const Pool = require("undici/lib/dispatcher/pool") as typeof Undici.Pool;
    const buildConnector = require("undici/lib/core/connect") as typeof Undici.buildConnector;
    /* eslint-enable @typescript-eslint/no-require-imports */
    const connect = typeof connection === "function" ? connection : buildConnector(connection);
    kept.reached(origin, connect);
    return new Pool(origin, { ...poolOptions, connect });
  }

  async function post(request: OutgoingRequest, signal: AbortSignal): Promise<IncomingResponse | undefined> {
    if (typeof request.body !== "string") return undefined;
    const { "content-length": _length, host, ...headers } = request.headers;
    const answer = await kept.post(originOf(request), {
      path: request.path,
      host,
      headers: { "user-agent": userAgent, ...headers },
      body: request.body,
      signal,
    });
    return answer === undefined ? undefined : { statusCode: answer.status, headers: answer.headers, body: answer.body };
  }

  function handle(request: OutgoingRequest): Promise<{ response: IncomingResponse }> {
    const options: Undici.Dispatcher.DispatchOptions = {
      origin: originOf(request),
      method: request.method,
      path: request.path,
      headers: { "user-agent": userAgent, ...request.headers },
      body: request.body ?? null,
    };
    dispatchers ??= openDispatchers();
    const dispatcher = dispatchers[request.protocol === "http:" ? "http" : "https"];
    return new Promise((resolve, reject) => {
      const signal = signals.get(request);
      const response = { statusCode: 0, headers: {}, body: nothing };
      const chunks: Buffer[] = [];
      let abort: (() => void) | undefined;
      const settle = (): void => {
        if (abort !== undefined) signal?.removeEventListener("abort", abort);
      };
      dispatcher.dispatch(options, {
        onRequestStart(controller) {
          if (signal === undefined) return;
          abort = () => controller.abort(asError(signal.reason));
          if (signal.aborted) abort();
          else signal.addEventListener("abort", abort, { once: true });
        },
        onResponseStart(_controller, statusCode, headers) {
          response.statusCode = statusCode;
          response.headers = singleValued(headers);
        },
        onResponseData(_controller, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          settle();
          response.body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
          resolve({ response });
        },
        onResponseError(_controller, error) {
          settle();
          reject(error);
        },
      });
    });
  }

  return {
    handler: {
      metadata: { handlerProtocol: "http/1.1" },
      handle,
      updateHttpClientConfig() {
        // Nothing here is for the SDK's users to change.
      },
      httpHandlerConfigs: () => ({}),
      destroy() {
        // Another client may be using the connections.
      },
    },
    post,
    bindSignal(request, signal) {
      signals.set(request, signal);
    },
    async close() {
      kept.close();
      await Promise.all([...new Set(Object.values(dispatchers ?? {}))].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

type Dispatchers = Readonly<Record<"http" | "https", Undici.Dispatcher>>;

/** As Go does it: each scheme has a proxy of its own, and https does not fall back to the one for http. */
function createDispatchers(
  agentOptions: Undici.Agent.Options & { readonly headersTimeout: number },
  proxy: ProxySettings | undefined,
): Dispatchers {
  // The whole of undici takes 90 ms to load, mostly for fetch, and only a proxy needs it; the agent alone takes 25 (Node 20).
  /* eslint-disable @typescript-eslint/no-require-imports */
  const Agent = require("undici/lib/dispatcher/agent") as typeof Undici.Agent;
  const direct = new Agent(agentOptions);
  if (proxy === undefined) return { http: direct, https: direct };
  const { EnvHttpProxyAgent, Pool } = require("undici") as typeof Undici;
  const through = (httpProxy: string, httpsProxy: string): Undici.Dispatcher =>
    httpProxy === "" && httpsProxy === ""
      ? direct
      : new EnvHttpProxyAgent({
          ...agentOptions,
          ...(typeof agentOptions.connect === "object"
            ? { requestTls: agentOptions.connect, proxyTls: agentOptions.connect }
            : {}),
          // Those requests are CONNECT: a proxy that is silent must not hold all connections for undici's five minutes.
          clientFactory: (origin, options) =>
            new Pool(origin, { ...options, headersTimeout: agentOptions.headersTimeout }),
          httpProxy,
          httpsProxy,
          noProxy: proxy.noProxy,
        });
  return { http: through(proxy.httpProxy, ""), https: through("", proxy.httpsProxy) };
}

function originOf({ protocol, hostname, port }: OutgoingRequest): string {
  return `${protocol}//${hostname}${port === undefined ? "" : `:${port}`}`;
}

const nothing: Uint8Array = new Uint8Array(0);

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

function readCaBundle(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new KmsEtcdError("invalid-input", `AWS_CA_BUNDLE names ${file}, which cannot be read`, {
      remedy: "name a PEM file that the plugin may read, or unset the variable",
      cause,
    });
  }
}

function singleValued(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const single: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) single[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return single;
}
