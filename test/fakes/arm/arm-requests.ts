/** Requests to the REST door, as a test makes them: over TLS, with a token, following what goes on after the answer. */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "undici";
import type { Application } from "../azure/entra";
import type { FakeArm } from "./fake-arm";
import { isObject, type Json, type JsonObject, textAt } from "./shape";

export interface ArmResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: JsonObject;
  /** Of an error in either form. */
  readonly code: string;
  readonly message: string;
}

export interface AskOptions {
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
  readonly as?: Application;
  /** Instead of the one of `as`. Empty: none. */
  readonly token?: string;
  readonly query?: string;
}

export interface ArmRequests {
  ask(method: string, path: string, apiVersion: string, options?: AskOptions): Promise<ArmResponse>;
  /** PUT to its end: the resource as it is then, or the error that the operation ended with. */
  put(path: string, apiVersion: string, body: Json, options?: Omit<AskOptions, "body">): Promise<ArmResponse>;
  /** Follows an answer's operation, and gives what it says at its end. */
  follow(answer: ArmResponse): Promise<ArmResponse>;
  /** Below the subscription's group `rg`, which it makes at the first call. */
  group(): Promise<string>;
  close(): Promise<void>;
}

export function armRequests(fake: FakeArm): ArmRequests {
  const agent = new Agent({ connect: fake.azure.connect });
  const group = `/subscriptions/${fake.subscriptionId}/resourceGroups/rg`;
  let made = false;

  async function send(method: string, url: string, options: AskOptions): Promise<ArmResponse> {
    const { origin, pathname, search } = new URL(url);
    const token = options.token ?? fake.token(options.as ?? fake.deployer);
    const answer = await agent.request({
      origin,
      path: pathname + search,
      method: method,
      headers: {
        ...(token === "" ? {} : { authorization: `Bearer ${token}` }),
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      body: options.body === undefined ? null : JSON.stringify(options.body),
    });
    const text = await answer.body.text();
    const body = text === "" ? {} : (JSON.parse(text) as JsonObject);
    const error = isObject(body["error"]) ? body["error"] : body;
    return {
      status: answer.statusCode,
      headers: answer.headers,
      body,
      code: textAt(error, "code"),
      message: textAt(error, "message"),
    };
  }

  const requests: ArmRequests = {
    ask: (method, path, apiVersion, options = {}) =>
      send(method, `https://management.azure.com${path}?api-version=${apiVersion}${options.query ?? ""}`, options),
    async put(path, apiVersion, body, options = {}) {
      const answer = await requests.ask("PUT", path, apiVersion, { ...options, body });
      if (answer.status >= 400 || answer.headers["azure-asyncoperation"] === undefined) return answer;
      const ended = await requests.follow(answer);
      return ended.code === "" ? requests.ask("GET", path, apiVersion, options) : ended;
    },
    async follow(answer) {
      const url = String(answer.headers["azure-asyncoperation"]);
      for (;;) {
        const { body } = await send("GET", url, {});
        if (body["status"] !== "InProgress") {
          return { ...answer, body, code: textAt(body, "error", "code"), message: textAt(body, "error", "message") };
        }
        await sleep(2);
      }
    },
    async group() {
      if (!made) {
        made = true;
        await requests.put(group, "2024-03-01", { location: "westeurope" });
      }
      return group;
    },
    close: () => agent.destroy(),
  };
  return requests;
}
