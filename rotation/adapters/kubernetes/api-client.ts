/**
 * HTTP to one API server. The engine must know which server answered, so there is one client a server and no load balancer
 * in between; and it must survive a server that comes and goes, so `get` retries what may pass by itself.
 */
import { setTimeout as delay } from "node:timers/promises";
import { errors, Pool } from "undici";
import { KmsEtcdError } from "../../../core/errors";
import { statusError } from "./api-error";
import { connectBy, type WayToServer } from "./connect-by";

export interface ApiServerAddress {
  /** As the goal lists the server. */
  readonly name: string;
  readonly url: string;
  /** PEM. The key is held in memory only. Without certificate and key there is a token. */
  readonly tls: { readonly ca: string; readonly cert?: string; readonly key?: string };
  /** A bearer token, held in memory only. */
  readonly token?: string;
  /** The way to the server where it is not its URL's. */
  readonly way?: WayToServer;
}

export interface ApiRequest {
  readonly method: "GET" | "PATCH" | "POST" | "PUT" | "DELETE";
  /** With the query. */
  readonly path: string;
  readonly accept?: string;
  readonly body?: string;
  readonly contentType?: string;
  /** For the whole exchange, in milliseconds. @default 30_000 */
  readonly timeout?: number;
}

export interface ApiResponse {
  readonly status: number;
  readonly body: string;
  /** The server's clock, from the Date header; 0 where it is missing. */
  readonly date: number;
  /** Milliseconds that Retry-After asks for, if it does; within what a run can wait for. */
  readonly retryAfter: number | undefined;
}

export interface ApiClient {
  readonly name: string;
  /** One try. Any HTTP status is an answer; throws `unreachable`, `timeout` or `cancelled` where there is none. */
  send(request: ApiRequest, signal?: AbortSignal): Promise<ApiResponse>;
  /** The parsed body of a 200. Tries again on 429, 5xx and lost connections; throws a KmsEtcdError naming server and path. */
  get<T>(path: string, accept: string, signal: AbortSignal): Promise<T>;
  /** Hands the body of a 200 on in pieces, for answers too long to hold. One try. */
  stream(path: string, onChunk: (chunk: Buffer) => void, signal: AbortSignal, timeout?: number): Promise<void>;
  close(): Promise<void>;
}

const defaultTimeout = 30_000;
const attempts = 4;
const firstBackOff = 250;
/** More than any pass has in flight; idle connections are closed after the keep-alive time. */
const connections = 64;

export function apiClient({ name, url, tls, token, way }: ApiServerAddress): ApiClient {
  const pool = new Pool(url, {
    connections,
    // Measured for PATCH at 32 in flight on one server: 690-990 a second over HTTP/1.1, 200-640 over HTTP/2, more CPU there.
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: 10_000,
    connect: way === undefined ? { ...tls, timeout: 5_000 } : connectBy(way, tls),
  });

  async function exchange<T>(
    request: ApiRequest,
    signal: AbortSignal | undefined,
    read: (answer: Awaited<ReturnType<Pool["request"]>>) => Promise<T>,
  ): Promise<T> {
    const limit = request.timeout ?? defaultTimeout;
    const timer = new AbortController();
    const timeout = setTimeout(() => timer.abort(), limit);
    const cancel = () => timer.abort();
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      if (signal?.aborted) timer.abort();
      return await read(
        await pool.request({
          method: request.method,
          path: request.path,
          headers: {
            accept: request.accept ?? "application/json",
            "user-agent": "kms-etcd",
            ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
            ...(request.contentType === undefined ? {} : { "content-type": request.contentType }),
          },
          ...(request.body === undefined ? {} : { body: request.body }),
          signal: timer.signal,
          headersTimeout: 0,
          bodyTimeout: 0,
        }),
      );
    } catch (thrown) {
      if (thrown instanceof KmsEtcdError) throw thrown;
      const what = `${name}: ${request.method} ${pathOf(request)}`;
      if (signal?.aborted) throw new KmsEtcdError("cancelled", `${what} was stopped`, { cause: thrown });
      if (timer.signal.aborted)
        throw new KmsEtcdError("timeout", `${what}: no answer in ${limit / 1_000} s`, { cause: thrown });
      throw new KmsEtcdError("unreachable", `${what}: ${connectionProblem(thrown)}`, { cause: thrown });
    } finally {
      clearTimeout(timeout);
      signal?.removeEventListener("abort", cancel);
    }
  }

  const send = (request: ApiRequest, signal?: AbortSignal) =>
    exchange(
      request,
      signal,
      async ({ statusCode, headers, body }): Promise<ApiResponse> => ({
        status: statusCode,
        body: await body.text(),
        date: Date.parse(String(headers["date"])) || 0,
        retryAfter: retryAfter(headers["retry-after"]),
      }),
    );

  return {
    name,
    send,
    get: async <T>(path: string, accept: string, signal: AbortSignal): Promise<T> => {
      for (let attempt = 1; ; attempt++) {
        let failure: KmsEtcdError;
        let wait = firstBackOff * 2 ** (attempt - 1);
        try {
          const response = await send({ method: "GET", path, accept }, signal);
          if (response.status === 200) return JSON.parse(response.body) as T;
          failure = statusError(name, path, response);
          if (response.status !== 429 && response.status < 500) throw failure;
          wait = response.retryAfter ?? wait;
        } catch (thrown) {
          if (!(thrown instanceof KmsEtcdError) || !passing.has(thrown.code)) throw thrown;
          failure = thrown;
        }
        if (attempt === attempts) throw failure;
        await delay(wait * (0.75 + Math.random() / 2), undefined, { signal }).catch(() => {
          throw new KmsEtcdError("cancelled", `${name}: GET ${path} was stopped`);
        });
      }
    },
    stream: (path, onChunk, signal, timeout = defaultTimeout) =>
      exchange({ method: "GET", path, timeout }, signal, async ({ statusCode, body }) => {
        if (statusCode !== 200) throw statusError(name, path, { status: statusCode, body: await body.text() });
        for await (const chunk of body) onChunk(chunk as Buffer);
      }),
    close: () => pool.destroy(),
  };
}

const passing: ReadonlySet<string> = new Set(["unreachable", "timeout", "throttled"]);

/** Without the query: a continue token says nothing to people. */
function pathOf(request: ApiRequest): string {
  return request.path.split("?")[0] ?? request.path;
}

/** Asked for with no wait at all, a server would be asked without end. */
const shortestRetryAfter = 1_000;
/** Half of the time after which a silent server is given up: what stands in front of one may ask for a day. */
const longestRetryAfter = 30_000;

function retryAfter(header: string | string[] | undefined): number | undefined {
  const seconds = Number(Array.isArray(header) ? header[0] : header);
  if (!Number.isFinite(seconds) || seconds < 0 || header === undefined) return undefined;
  return Math.min(Math.max(seconds * 1_000, shortestRetryAfter), longestRetryAfter);
}

function connectionProblem(thrown: unknown): string {
  if (thrown instanceof errors.ConnectTimeoutError) return "no connection in 5 s";
  const error = thrown as NodeJS.ErrnoException;
  // Clocks are set wrong more often than certificates are forgotten: both are named.
  if (error.code === "CERT_NOT_YET_VALID" || error.code === "CERT_HAS_EXPIRED") {
    const when = error.code === "CERT_HAS_EXPIRED" ? "no longer" : "not yet";
    return `its certificate is ${when} valid by this machine's clock, ${new Date().toISOString()} (${error.code})`;
  }
  return error.code ?? error.message;
}
