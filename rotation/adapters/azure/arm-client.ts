/**
 * Azure Resource Manager, for what no provider of Pulumi's can do: change some fields of a resource that somebody else may own. GET, merge, PUT
 * with the ETag that was got, so that nobody's change in between is lost; and the operation that a PUT starts is followed to its end.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  bearerTokenAuthenticationPolicy,
  createDefaultHttpClient,
  createHttpHeaders,
  createPipelineFromOptions,
  createPipelineRequest,
  type PipelineResponse,
} from "@azure/core-rest-pipeline";
import { KmsEtcdError } from "../../../core/errors";
import { armCodeOf, armError } from "./arm-error";
import type { AzureCloud } from "./azure-cloud";
import { azureFailure } from "./azure-failure";
import type { CallOptions, createCredential } from "./credential";

/** A JSON body of ARM's. */
export type ArmBody = Readonly<Record<string, unknown>>;

export interface ArmClient {
  /** Undefined when there is no such resource. */
  get(id: string, apiVersion: string, signal: AbortSignal): Promise<ArmBody | undefined>;
  /**
   * Makes the resource what `change` makes of it, and gives it back when ARM has finished. Waits while another operation is under way, and
   * asks `change` again when somebody else was faster; nothing is sent when it gives back what it got. Idempotent if `change` is. Throws
   * `timeout` when an operation, somebody else's or this one, takes longer than `longestMs`.
   */
  update(
    id: string,
    apiVersion: string,
    change: (body: ArmBody) => ArmBody,
    signal: AbortSignal,
    onProgress?: (message: string) => void,
    longestMs?: number,
  ): Promise<ArmBody>;
  /** Asks for an action, `<id>/listClusterUserCredential`, and gives its result, which may take its time. Sent once. */
  post(path: string, apiVersion: string, body: ArmBody | undefined, signal: AbortSignal): Promise<ArmBody>;
  /** Everything in a collection, page by page. `path` may have a query. */
  list(path: string, apiVersion: string, signal: AbortSignal): Promise<readonly ArmBody[]>;
}

/** Between two looks at an operation, where ARM does not say when to come back. */
const defaultPauseMs = 10_000;
/** Another operation is under way on the resource. */
const busyCodes: ReadonlySet<string> = new Set([
  "OperationNotAllowed",
  "AnotherOperationInProgress",
  "OperationPreempted",
]);
/** A resource that somebody else keeps changing. */
const mostTries = 60;
/** How long an operation may take where nobody says. The longest that AKS is known to take are upgrades of large clusters. */
const longestOperationMs = 4 * 3_600_000;
/** Answers in a row that say nothing of an operation: too many requests, a gateway in trouble. The operation itself goes on. */
const mostTroubles = 20;

export function createArmClient(
  credential: ReturnType<typeof createCredential>,
  cloud: AzureCloud,
  calls: CallOptions,
  pauseMs = defaultPauseMs,
): ArmClient {
  const pipeline = createPipelineFromOptions({});
  pipeline.addPolicy(bearerTokenAuthenticationPolicy({ credential, scopes: `${cloud.resourceManager}/.default` }));
  const client = calls.httpClient ?? createDefaultHttpClient();

  async function send(
    method: "GET" | "POST" | "PUT",
    url: string,
    signal: AbortSignal,
    more: { readonly body?: ArmBody; readonly ifMatch?: string } = {},
  ): Promise<PipelineResponse> {
    const headers = createHttpHeaders({
      ...(more.body === undefined ? {} : { "content-type": "application/json" }),
      ...(more.ifMatch === undefined ? {} : { "if-match": more.ifMatch }),
    });
    const body = more.body === undefined ? {} : { body: JSON.stringify(more.body) };
    try {
      return await pipeline.sendRequest(
        client,
        createPipelineRequest({ url, method, headers, abortSignal: signal, ...body }),
      );
    } catch (thrown) {
      throw azureFailure(thrown, "Azure Resource Manager");
    }
  }

  const urlOf = (path: string, apiVersion: string) =>
    `${cloud.resourceManager}${path}${path.includes("?") ? "&" : "?"}api-version=${apiVersion}`;

  /** An address that ARM has given. Requests carry our token, so it must be ARM's own. */
  function ours(address: string): string {
    if (new URL(address).origin === new URL(cloud.resourceManager).origin) return address;
    throw new KmsEtcdError(
      "unsupported",
      `Azure leads to ${new URL(address).origin}, which is not ${cloud.resourceManager}`,
    );
  }

  /** Asks again after each pause until the answer is neither "not yet" nor a passing trouble. */
  async function ask(
    address: string,
    after: PipelineResponse,
    { id, signal, patience }: Followed,
    isLater: (response: PipelineResponse) => boolean,
  ): Promise<PipelineResponse> {
    let troubles = 0;
    for (let last = after; ; ) {
      patience.require(`what was asked of ${id} has not ended`);
      await pause(pauseOf(last, pauseMs), signal);
      last = await send("GET", ours(address), signal);
      const isTrouble = last.status === 429 || last.status >= 500;
      troubles = isTrouble ? troubles + 1 : 0;
      if (last.status >= 400 && (!isTrouble || troubles > mostTroubles)) throw armError(last, id);
      if (!isTrouble && !isLater(last)) return last;
    }
  }

  async function get(id: string, apiVersion: string, signal: AbortSignal): Promise<ArmBody | undefined> {
    const response = await send("GET", urlOf(id, apiVersion), signal);
    if (response.status === 404) return undefined;
    if (response.status !== 200) throw armError(response, id);
    return bodyOf(response);
  }

  /** To the end of the operation that `response` has begun. */
  async function follow(
    response: PipelineResponse,
    followed: Followed,
    onProgress: (message: string) => void = () => undefined,
  ): Promise<void> {
    const address = response.headers.get("azure-asyncoperation") ?? response.headers.get("location");
    if (address === undefined) return;
    const ended = await ask(address, response, followed, (answer) => {
      const { status } = bodyOf(answer);
      const isUnderWay =
        status === undefined
          ? answer.status === 202
          : status !== "Succeeded" && status !== "Failed" && status !== "Canceled";
      if (isUnderWay) onProgress(`Azure is at work on it, ${followed.patience.waited()}`);
      return isUnderWay;
    });
    const { status } = bodyOf(ended);
    if (status === "Failed" || status === "Canceled") throw armError(ended, followed.id);
  }

  return {
    get,
    async update(id, apiVersion, change, signal, onProgress = () => undefined, longestMs = longestOperationMs) {
      const busy = patienceOf(longestMs);
      for (let tries = 1; ; ) {
        const found = await get(id, apiVersion, signal);
        if (found === undefined) throw new KmsEtcdError("not-found", `${id} is not there`);
        const wanted = change(found);
        if (wanted === found) return found;
        const eTag = found["eTag"] ?? found["etag"];
        const ifMatch = typeof eTag === "string" ? { ifMatch: eTag } : {};
        const response = await send("PUT", urlOf(id, apiVersion), signal, { body: wanted, ...ifMatch });
        if (response.status < 300) {
          await follow(response, { id, signal, patience: patienceOf(longestMs) }, onProgress);
          return (await get(id, apiVersion, signal)) ?? wanted;
        }
        const refusal = armError(response, id);
        // Somebody else's change is there already; another operation takes its time.
        if (response.status === 412 && tries < mostTries) {
          tries += 1;
          continue;
        }
        if (response.status !== 429 && !busyCodes.has(armCodeOf(refusal) ?? "")) throw refusal;
        busy.require(refusal.message);
        onProgress(`waiting, ${busy.waited()}: ${refusal.message}`);
        await pause(pauseOf(response, pauseMs), signal);
      }
    },
    async post(path, apiVersion, body, signal) {
      const response = await send("POST", urlOf(path, apiVersion), signal, body === undefined ? {} : { body });
      if (response.status >= 400) throw armError(response, path);
      const location = response.headers.get("location");
      const followed = { id: path, signal, patience: patienceOf(longestOperationMs) };
      if (response.status !== 202 || location === undefined) {
        await follow(response, followed);
        return bodyOf(response);
      }
      return bodyOf(await ask(location, response, followed, ({ status }) => status === 202));
    },
    async list(path, apiVersion, signal) {
      const entries: ArmBody[] = [];
      for (let address: string | undefined = urlOf(path, apiVersion); address !== undefined; ) {
        const response = await send("GET", ours(address), signal);
        if (response.status !== 200) throw armError(response, path);
        const { value, nextLink } = bodyOf(response);
        if (Array.isArray(value)) entries.push(...(value as ArmBody[]));
        address = typeof nextLink === "string" && nextLink !== "" ? nextLink : undefined;
      }
      return entries;
    },
  };
}

/** An operation, and for how long it is waited for. */
interface Followed {
  readonly id: string;
  readonly signal: AbortSignal;
  readonly patience: ReturnType<typeof patienceOf>;
}

function patienceOf(longestMs: number) {
  const start = performance.now();
  const seconds = (ms: number) => Math.round(ms / 1_000);
  return {
    waited: () => `${seconds(performance.now() - start)} of at most ${seconds(longestMs)} s`,
    /** Throws when the time is over. */
    require(what: string): void {
      if (performance.now() - start < longestMs) return;
      throw new KmsEtcdError("timeout", `${what}, and ${seconds(longestMs)} s are over`, {
        remedy:
          "see what Azure is at work on (the resource's activity log; az aks show --query provisioningState for a cluster), then run again: it goes on from there",
      });
    },
  };
}

function bodyOf(response: PipelineResponse): ArmBody {
  const text = response.bodyAsText ?? "";
  const value: unknown = text === "" ? {} : JSON.parse(text);
  return typeof value === "object" && value !== null ? (value as ArmBody) : {};
}

function pauseOf(response: PipelineResponse, otherwise: number): number {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1_000 : otherwise;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch((cause: unknown) => {
    throw new KmsEtcdError("cancelled", "stopped while waiting for Azure", { cause });
  });
}
