/**
 * Which objects make a list fail. An API server that cannot decrypt one object cannot list any of its resource, and then
 * only etcd knows the names; each is read by itself until those that cannot be are found.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { ObjectFailure } from "../../observation";
import type { ApiClient } from "./api-client";
import { describeStatus } from "./api-error";
import { metadataAccept, objectTimeout } from "./no-op-patch";
import { resourcePath, type ServedResource } from "./resources";

const atOnce = 16;
/** So many are enough to see what is wrong. */
const enough = 20;

/** `keys` are etcd's, below the resource's own prefix. */
export async function unreadableObjects(
  client: ApiClient,
  resource: ServedResource,
  keys: AsyncIterable<readonly string[]>,
  signal: AbortSignal,
): Promise<readonly ObjectFailure[]> {
  const failures: ObjectFailure[] = [];
  for await (const page of keys) {
    for (let start = 0; start < page.length && failures.length < enough; start += atOnce) {
      if (signal.aborted) throw new KmsEtcdError("cancelled", "stopped at a safe point");
      await Promise.all(
        page.slice(start, start + atOnce).map(async (key) => {
          const slash = resource.namespaced ? key.indexOf("/") : -1;
          const object = { namespace: key.slice(0, Math.max(slash, 0)), name: key.slice(slash + 1) };
          const path = resourcePath(resource, object);
          const request = { method: "GET" as const, path, accept: metadataAccept, timeout: objectTimeout };
          const { status, body } = await client.send(request);
          if (status === 200 || status === 404) return;
          failures.push({ resource: resource.name, ...object, reason: describeStatus(status, body) });
        }),
      );
    }
    if (failures.length >= enough) break;
  }
  return failures;
}
