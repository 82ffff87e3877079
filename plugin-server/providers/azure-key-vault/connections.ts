/**
 * The connections to Azure, and the HTTP client over them that the SDKs get instead of their own. It keeps connections open
 * between calls (a probe a minute is enough to need no new one), costs half the CPU of the SDKs' own client, and goes
 * through HTTPS_PROXY with connections kept open too, which the SDKs' own does not.
 */
import { createSecureContext } from "node:tls";
import type { HttpClient, PipelineRequest, PipelineResponse } from "@azure/core-rest-pipeline";
import type { Agent as AgentOptions, buildConnector, Dispatcher, Pool } from "undici";
import { createKeptOrigins } from "../../http/kept-origins";
import { loadLibraries } from "./load-libraries";

/** Opens the TCP and TLS connection; tests lead it to a fake of Azure. */
export type Connect = buildConnector.connector;

/** Proxy mode: what the proxy is told about where a request belongs (the peer's pkg/consts/consts.go). */
export interface ProxyMode {
  readonly address: string;
  readonly port: number;
}
export type ProxyTarget = "KeyVault" | "AzureActiveDirectory";

/** What was seen of one exchange; exactly one of `response` and `failure` is there. */
export interface Exchange {
  readonly request: PipelineRequest;
  readonly response?: PipelineResponse;
  readonly failure?: unknown;
}

/** By their names in lower case. */
export type AnswerHeaders = Pick<PipelineResponse["headers"], "get" | "has">;

/** What is read of an answer; the SDKs' own have it too. */
export interface Answer {
  readonly status: number;
  readonly headers: AnswerHeaders;
  readonly bodyAsText?: string | null;
}

export interface Connections {
  /** An HTTP client for the SDKs. `observe` may replace the response. */
  httpClient(target: ProxyTarget, observe?: (exchange: Exchange) => PipelineResponse | undefined): HttpClient;
  /** A POST to Key Vault that may be repeated. */
  post(url: URL, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Answer>;
  close(): Promise<void>;
}

/** More calls than that at once wait for each other; an API server has far fewer under way. */
const mostConnections = 128;
/** Within a call's time a second attempt on a new connection must still fit. */
const connectTimeoutMs = 2_000;
/** For answers that nobody waits for any more: the connection must not stay occupied. */
const answerTimeoutMs = 10_000;
/** Before the second attempt of a call: it is not to try another dead connection. */
const silenceMs = 700;
/** Longer than the time between two probes. Azure's front ends keep idle connections for minutes. */
const idleMs = 90_000;
/** Real answers have less than 2 kB. */
const longestAnswer = 64 * 1024;

export function createConnections(settings: {
  readonly proxyMode: ProxyMode | undefined;
  readonly connect: Connect | undefined;
  readonly environment: NodeJS.ProcessEnv;
  /** PEM; undefined: those that Node brings along. */
  readonly authorities: readonly string[] | undefined;
}): Connections {
  const { Agent, buildConnector, createHttpHeaders, EnvHttpProxyAgent, Pool } = loadLibraries();
  const connectOptions = {
    timeout: connectTimeoutMs,
    // One context for all connections: to parse a host's authorities takes 30 ms.
    ...(settings.authorities === undefined
      ? {}
      : { secureContext: createSecureContext({ ca: [...settings.authorities] }) }),
  };
  const kept = createKeptOrigins({ connections: mostConnections, answerTimeoutMs, idleMs, longestAnswer, silenceMs });
  const options: AgentOptions.Options = {
    connect: settings.connect ?? connectOptions,
    connections: mostConnections,
    keepAliveTimeout: idleMs,
    headersTimeout: answerTimeoutMs,
    bodyTimeout: answerTimeoutMs,
    maxResponseSize: longestAnswer,
    factory: (origin, { connect: connection, ...poolOptions }: Pool.Options) => {
      const connect = typeof connection === "function" ? connection : buildConnector(connection);
      kept.reached(origin, connect);
      return new Pool(origin, { ...poolOptions, connect });
    },
  };
  const { environment } = settings;
  // Plain HTTP goes to this host's metadata service and to proxy mode's proxy: never through another proxy.
  const direct = new Agent(options);
  // As Go does it: https has a proxy of its own and does not fall back to the one for http.
  const httpsProxy = environment["HTTPS_PROXY"] ?? environment["https_proxy"] ?? "";
  const secure =
    httpsProxy === ""
      ? direct
      : new EnvHttpProxyAgent({
          ...options,
          requestTls: connectOptions,
          proxyTls: connectOptions,
          // Those requests are CONNECT: a proxy that is silent must not hold all connections for undici's five minutes.
          clientFactory: (origin, poolOptions) =>
            new Pool(origin, { ...poolOptions, headersTimeout: connectTimeoutMs }),
          httpProxy: "",
          httpsProxy,
          noProxy: environment["NO_PROXY"] ?? environment["no_proxy"] ?? "",
        });

  // By `dispatch`, because undici's `request` puts a stream around each answer.
  const send = (request: PipelineRequest, target: ProxyTarget): Promise<PipelineResponse> => {
    const { dispatcher, headers: marks, ...where } = route(request.url, target);
    const headers = { ...request.headers.toJSON(), ...marks };
    // The SDKs offer to take compressed answers, but nothing here expands them.
    delete headers["accept-encoding"];
    const signal = request.abortSignal;
    return new Promise((resolve, reject) => {
      let abort = (): void => undefined;
      const chunks: Buffer[] = [];
      let status = 0;
      let answerHeaders: Record<string, string> = {};
      dispatcher.dispatch(
        {
          ...where,
          method: request.method,
          headers,
          body: typeof request.body === "string" ? request.body : null,
        },
        {
          onRequestStart(controller) {
            abort = () => controller.abort(new Error("the call is over"));
            if (signal?.aborted) abort();
            else signal?.addEventListener("abort", abort);
          },
          onResponseStart(_controller, statusCode, received) {
            status = statusCode;
            answerHeaders = firstValues(received);
          },
          onResponseData(_controller, chunk) {
            chunks.push(chunk);
          },
          onResponseEnd() {
            signal?.removeEventListener("abort", abort);
            const bodyAsText = Buffer.concat(chunks).toString("utf8");
            resolve({ request, status, headers: createHttpHeaders(answerHeaders), bodyAsText });
          },
          onResponseError(_controller, error) {
            signal?.removeEventListener("abort", abort);
            reject(error);
          },
        },
      );
    });
  };

  const route = (
    address: string,
    target: ProxyTarget,
  ): { dispatcher: Dispatcher; origin: string; path: string; headers: Record<string, string> } => {
    const url = new URL(address);
    const path = url.pathname + url.search;
    if (url.protocol !== "https:") return { dispatcher: direct, origin: url.origin, path, headers: {} };
    if (settings.proxyMode === undefined) return { dispatcher: secure, origin: url.origin, path, headers: {} };
    return {
      dispatcher: direct,
      origin: `http://${settings.proxyMode.address}:${settings.proxyMode.port}`,
      path: target === "KeyVault" ? `/${url.host}${path}` : path,
      headers: { "x-azure-proxy-target": target },
    };
  };

  return {
    httpClient: (target, observe) => ({
      async sendRequest(request) {
        let response: PipelineResponse;
        try {
          response = await send(request, target);
        } catch (failure) {
          observe?.({ request, failure });
          throw failure;
        }
        return observe?.({ request, response }) ?? response;
      },
    }),
    async post(url, headers, body, signal) {
      const path = url.pathname + url.search;
      const answer = await kept.post(url.origin, { path, headers, body, signal });
      if (answer !== undefined) {
        const { status, headers: received } = answer;
        const read = { get: (name: string) => received[name], has: (name: string) => name in received };
        return { status, headers: read, bodyAsText: answer.body.toString("utf8") };
      }
      const length = { "content-length": String(Buffer.byteLength(body)) };
      return send(
        {
          url: url.href,
          method: "POST",
          headers: createHttpHeaders({ ...headers, ...length }),
          body,
          abortSignal: signal,
          requestId: headers["x-ms-client-request-id"] ?? "",
          timeout: 0,
          withCredentials: false,
        },
        "KeyVault",
      );
    },
    close: async () => {
      kept.close();
      await Promise.all([...new Set<Dispatcher>([secure, direct])].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

function firstValues(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const first: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    const text = Array.isArray(value) ? value[0] : value;
    if (text !== undefined) first[name] = text;
  }
  return first;
}
