/** How the stand-in talks to ARM: as the real plugin does, over HTTPS, with a token of Entra's, following long-running operations. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Dispatcher, getGlobalDispatcher, ProxyAgent } from "undici";
import { isObject, type Json, type JsonObject, textAt } from "../arm/shape";

export interface Credentials {
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

export interface ArmClient {
  readonly credentials: Credentials;
  /** The body; undefined for 404. */
  get(path: string, apiVersion: string, signal?: AbortSignal): Promise<JsonObject | undefined>;
  /** Resolves when the operation has ended. */
  send(
    method: "PUT" | "POST" | "DELETE",
    path: string,
    apiVersion: string,
    body?: Json,
    signal?: AbortSignal,
  ): Promise<JsonObject | undefined>;
  deleteKey(vault: string, name: string): Promise<void>;
  /** The claims of the token: who this is. */
  whoAmI(): Promise<Readonly<Record<string, unknown>>>;
  token(resource: string): Promise<string>;
}

/** What ARM answered, in the words that the real plugin uses for it. */
export class ArmRefusal extends Error {
  readonly status: number;

  constructor(status: number, code: string, message: string) {
    super(`Status=${status} Code="${code}" Message="${message}"`);
    this.name = "ArmRefusal";
    this.status = status;
  }
}

const shortestWaitMs = 50;
const transient = new Set([408, 429, 500, 502, 503, 504]);
const mostTries = 5;

/** `dispatcher`: who carries the requests; else the proxy of the environment, where there is one. */
export function createArmClient(credentials: Credentials, dispatcher: Dispatcher = environmentDispatcher()): ArmClient {
  const tokens = new Map<string, { readonly value: string; readonly until: number }>();

  async function token(resource: string): Promise<string> {
    const known = tokens.get(resource);
    if (known !== undefined && known.until > Date.now()) return known.value;
    const { status, body } = await raw(
      "POST",
      `https://login.microsoftonline.com/${credentials.tenantId}/oauth2/v2.0/token`,
      {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: credentials.clientId,
          client_secret: credentials.clientSecret,
          scope: `${resource}/.default`,
        }).toString(),
      },
    );
    const { access_token: value, expires_in: seconds, error_description: reason } = body ?? {};
    if (status !== 200 || typeof value !== "string") throw new Error(`getting a token: ${JSON.stringify(reason)}`);
    tokens.set(resource, { value, until: Date.now() + (Number(seconds) - 300) * 1_000 });
    return value;
  }

  async function raw(
    method: string,
    url: string,
    options: {
      readonly headers: Record<string, string>;
      readonly body?: string;
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: JsonObject | undefined }> {
    const { origin, pathname, search } = new URL(url);
    const answer = await dispatcher.request({
      origin,
      path: pathname + search,
      method: method,
      headers: options.headers,
      body: options.body ?? null,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    const text = await answer.body.text();
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body: text.startsWith("{") ? (JSON.parse(text) as JsonObject) : undefined,
    };
  }

  async function request(method: string, url: string, body?: Json, signal?: AbortSignal) {
    for (let tries = 1; ; tries += 1) {
      const answer = await raw(method, url, {
        headers: {
          authorization: `Bearer ${await token("https://management.azure.com")}`,
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal,
      });
      if (!transient.has(answer.status) || tries === mostTries) return answer;
      await wait(answer.headers, signal);
    }
  }

  async function wait(headers: Record<string, string | string[] | undefined>, signal?: AbortSignal): Promise<void> {
    const ms = Math.max(shortestWaitMs, Number(headers["retry-after"] ?? 0) * 1_000);
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  }

  async function follow(url: string, signal?: AbortSignal): Promise<void> {
    for (;;) {
      const { status, headers, body } = await request("GET", url, undefined, signal);
      if (status !== 200) throw refusalOf(status, body);
      if (body?.["status"] === "Succeeded") return;
      if (body?.["status"] !== "InProgress") {
        throw refusalOf(status, body);
      }
      await wait(headers, signal);
    }
  }

  const urlOf = (path: string, apiVersion: string) => `https://management.azure.com${path}?api-version=${apiVersion}`;
  return {
    credentials,
    token,
    async get(path, apiVersion, signal) {
      const { status, body } = await request("GET", urlOf(path, apiVersion), undefined, signal);
      if (status === 404) return undefined;
      if (status !== 200) throw refusalOf(status, body);
      return body ?? {};
    },
    async send(method, path, apiVersion, body, signal) {
      const answer = await request(method, urlOf(path, apiVersion), body, signal);
      if (answer.status >= 400) throw refusalOf(answer.status, answer.body);
      const operation = answer.headers["azure-asyncoperation"];
      if (typeof operation === "string") await follow(operation, signal);
      return answer.body;
    },
    async deleteKey(vault, name) {
      const { status, body } = await raw("DELETE", `https://${vault}.vault.azure.net/keys/${name}?api-version=7.4`, {
        headers: { authorization: `Bearer ${await token("https://vault.azure.net")}` },
      });
      if (status !== 200 && status !== 404) throw refusalOf(status, body);
    },
    async whoAmI() {
      const claims = (await token("https://management.azure.com")).split(".")[1] ?? "";
      return JSON.parse(Buffer.from(claims, "base64url").toString("utf8")) as Record<string, unknown>;
    },
  };
}

function environmentDispatcher(): Dispatcher {
  const proxy = process.env["HTTPS_PROXY"];
  return proxy === undefined ? getGlobalDispatcher() : new ProxyAgent({ uri: proxy });
}

function refusalOf(status: number, body: JsonObject | undefined): ArmRefusal {
  const error = isObject(body?.["error"]) ? body["error"] : body;
  return new ArmRefusal(status, textAt(error, "code"), textAt(error, "message"));
}
