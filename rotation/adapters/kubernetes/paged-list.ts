/** Lists objects page by page as metadata only: no object's content reaches this process, and memory is bounded by the page. */
import { KmsEtcdError } from "../../../core/errors";
import type { ApiClient } from "./api-client";
import { describeStatus, readStatus, statusError } from "./api-error";
import { resourcePath, type ServedResource } from "./resources";

export interface ListedObject {
  readonly resource: ServedResource;
  /** Empty for cluster-wide resources. */
  readonly namespace: string;
  readonly name: string;
  readonly resourceVersion: string;
}

interface MetadataList {
  readonly metadata?: { readonly continue?: string; readonly remainingItemCount?: number };
  readonly items?: readonly {
    readonly metadata: { readonly namespace?: string; readonly name: string; readonly resourceVersion: string };
  }[];
}

export const pageSize = 500;
const listAccept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/** How often every server is asked for a page before the list counts as failed. */
const rounds = 3;
/** How long to wait, on top, for servers that do not answer: longer than a restart. */
const patience = 60_000;

/** How many objects there are, about: what an API server says without listing them. One try. */
export async function countObjects(client: ApiClient, resource: ServedResource, signal: AbortSignal): Promise<number> {
  const path = `${resourcePath(resource)}?limit=1`;
  const response = await client.send({ method: "GET", path, accept: listAccept }, signal);
  if (response.status !== 200) throw statusError(client.name, path, response);
  const list = JSON.parse(response.body) as MetadataList;
  return (list.items?.length ?? 0) + (list.metadata?.remainingItemCount ?? 0);
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
    yield (list.items ?? []).map(({ metadata }) => ({
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
  const giveUpAt = Date.now() + patience;
  for (let round = 0; round < rounds || (failure.code !== "corrupt" && Date.now() < giveUpAt); round++) {
    if (round > 0) await pause(Math.min(125 * 2 ** round, 5_000), signal);
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
          round -= 1;
          break;
        }
        failure = statusError(client.name, path, response);
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
