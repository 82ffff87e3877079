/** Lists objects page by page as metadata only: no object's content reaches this process, and memory is bounded by the page. */
import { KmsEtcdError } from "../../../core/errors";
import { isUndecryptable } from "../../failure-text";
import type { ApiClient, ApiResponse } from "./api-client";
import { describeStatus, readStatus, statusError } from "./api-error";
import { firstOf } from "./first-of";
import { itemsOf, type KubernetesList } from "./kubernetes-list";
import { resourcePath, type ServedResource } from "./resources";

export interface ListedObject {
  readonly resource: ServedResource;
  /** Empty for cluster-wide resources. */
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

type MetadataList = KubernetesList<{
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly resourceVersion: string };
}>;

export const pageSize = 500;
const listAccept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/** How often every server is asked at least before a list counts as failed. */
const rounds = 3;
/** How long, on top, servers that do not answer are waited for: longer than a restart. */
const absencePatience = 60_000;
/** And those that answer 500: an object that can't be decrypted is the usual cause, but not the only one. */
const errorPatience = 15_000;
const longestPause = 5_000;
/** A list that has expired goes on at once so often; after that it is a failure like another. */
const freeExpiries = 2;

/** How many objects there are, about: what an API server says without listing them. One try. */
export async function countObjects(client: ApiClient, resource: ServedResource, signal: AbortSignal): Promise<number> {
  return (await countAt(client, resource, signal)).objects;
}

/** What the API server says of a resource at one revision of its etcd. */
export interface CountAt {
  readonly objects: number;
  /** NaN where it is not said. */
  readonly revision: number;
}

/** Without resourceVersion in the request, so that the answer is not older than the question. One try. */
export async function countAt(client: ApiClient, resource: ServedResource, signal: AbortSignal): Promise<CountAt> {
  const path = `${resourcePath(resource)}?limit=1`;
  const response = await client.send({ method: "GET", path, accept: listAccept }, signal);
  if (response.status !== 200) throw statusError(client.name, path, response);
  const list = JSON.parse(response.body) as MetadataList;
  const { remainingItemCount = 0, resourceVersion = "" } = list.metadata ?? {};
  return { objects: itemsOf(list).length + remainingItemCount, revision: Number.parseInt(resourceVersion, 10) };
}

/** As `countObjects`, by any of the servers, and tried again for as long as a page of a list is: up to `limit` milliseconds. */
export async function countPatiently(
  clients: readonly ApiClient[],
  resource: ServedResource,
  signal: AbortSignal,
  limit = absencePatience,
): Promise<number> {
  const begun = Date.now();
  for (let round = 0; ; round++) {
    try {
      return await firstOf(clients, (client) => countObjects(client, resource, signal));
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError) || Date.now() - begun > Math.min(patienceFor(thrown, round + 1), limit))
        throw thrown;
    }
    await pause(pauseBefore(round + 1), signal);
  }
}

/** For how many milliseconds after the first try there is a next one. */
function patienceFor({ code, message }: KmsEtcdError, roundsDone: number): number {
  if (finalCodes.has(code)) return -1;
  if (roundsDone < rounds) return Number.POSITIVE_INFINITY;
  if (code !== "corrupt") return absencePatience;
  return isUndecryptable(message) ? -1 : errorPatience;
}

const finalCodes: ReadonlySet<string> = new Set([
  "not-found",
  "permission-denied",
  "cancelled",
  "unsupported",
  "invalid-input",
]);

function pauseBefore(round: number, askedFor = 0): number {
  return Math.max(Math.min(125 * 2 ** round, longestPause), askedFor);
}

/** Every object, in pages; the next page is on its way while the caller works on one. Throws KmsEtcdError; 404 is `not-found`. */
export async function* listPages(
  clients: readonly ApiClient[],
  resource: ServedResource,
  signal: AbortSignal,
): AsyncGenerator<readonly ListedObject[]> {
  let next: Promise<MetadataList> | undefined = page(clients, resource, "", signal);
  while (next !== undefined) {
    const list: MetadataList = await next;
    const token = list.metadata?.continue ?? "";
    next = token === "" ? undefined : page(clients, resource, token, signal);
    // The caller may stop before it takes the page: then nobody waits for this promise.
    next?.catch(() => undefined);
    yield itemsOf(list).map(({ metadata }) => ({
      resource,
      namespace: metadata.namespace ?? "",
      name: metadata.name,
      resourceVersion: metadata.resourceVersion,
    }));
  }
}

async function page(
  clients: readonly ApiClient[],
  resource: ServedResource,
  firstToken: string,
  signal: AbortSignal,
): Promise<MetadataList> {
  let token = firstToken;
  let failure = new KmsEtcdError("invalid-input", "no API server was given to work through");
  let askedFor = 0;
  let expiries = 0;
  const begun = Date.now();
  for (let round = 0; round === 0 || Date.now() - begun <= patienceFor(failure, round); round++) {
    if (round > 0) await pause(pauseBefore(round, askedFor), signal);
    askedFor = 0;
    for (const client of clients) {
      const query = token === "" ? "" : `&continue=${encodeURIComponent(token)}`;
      const path = `${resourcePath(resource)}?limit=${pageSize}${query}`;
      try {
        const response = await client.send({ method: "GET", path, accept: listAccept, timeout: 60_000 }, signal);
        if (response.status === 200) return JSON.parse(response.body) as MetadataList;
        if (response.status === 410) {
          // The list is older than etcd's history. The Status has a token for going on behind the last object with a newer
          // one: objects that came meanwhile were written with the new key, so none is missed that matters.
          token = readStatus(response.body).metadata?.continue ?? "";
          failure = expired(client, resource, response);
          expiries += 1;
          if (expiries <= freeExpiries) round = -1;
          break;
        }
        failure = statusError(client.name, path, response);
        askedFor = Math.max(askedFor, response.retryAfter ?? 0);
        if (response.status === 404) {
          throw new KmsEtcdError(
            "not-found",
            `the API servers do not serve "${resource.name}": ${describeStatus(404, response.body)}`,
            {
              remedy: "check whether its CRD or its API group is still there",
            },
          );
        }
        if (response.status === 401 || response.status === 403) throw failure;
      } catch (thrown) {
        const error =
          thrown instanceof KmsEtcdError
            ? thrown
            : new KmsEtcdError("corrupt", `${client.name}: the list of ${resource.name} is not JSON`, {
                cause: thrown,
              });
        if (error.code === "not-found" || error.code === "permission-denied" || error.code === "cancelled") throw error;
        failure = error;
      }
    }
  }
  throw failure;
}

/** May pass: etcd's history is cut every few minutes, and a page is a matter of seconds. */
function expired({ name }: ApiClient, resource: ServedResource, { body }: ApiResponse): KmsEtcdError {
  const message = `${name}: the list of ${resource.name} expires again and again before its next page: ${describeStatus(410, body)}`;
  return new KmsEtcdError("timeout", message, {
    remedy: "see whether something compacts etcd all the time, then run again",
  });
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new KmsEtcdError("cancelled", "stopped at a safe point"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
