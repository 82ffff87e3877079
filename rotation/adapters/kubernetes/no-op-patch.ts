/**
 * The no-op write: an empty patch makes an API server store the object again if the stored bytes are not what its own
 * configuration would write, and otherwise leaves them alone (apiserver etcd3/store.go, GuaranteedUpdate). The answer is
 * metadata only.
 */
import type { ApiClient, ApiResponse } from "./api-client";
import type { ListedObject } from "./paged-list";
import { resourcePath, type ServedResource } from "./resources";

export const metadataAccept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/** Makes no text of the object: with 100 KiB a write costs the API server less than half (docs/benchmarks.md). */
const strategicMergePatch = "application/strategic-merge-patch+json";
const mergePatch = "application/merge-patch+json";

/** What has refused the first form, as all custom resources do. */
const merged = new WeakSet<ServedResource>();

export async function noOpPatch(client: ApiClient, object: ListedObject): Promise<ApiResponse> {
  if (!merged.has(object.resource)) {
    const response = await emptyPatch(client, object, strategicMergePatch);
    if (response.status !== 415) return response;
    merged.add(object.resource);
  }
  return emptyPatch(client, object, mergePatch);
}

function emptyPatch(client: ApiClient, object: ListedObject, contentType: string): Promise<ApiResponse> {
  return client.send({
    method: "PATCH",
    path: resourcePath(object.resource, object),
    accept: metadataAccept,
    contentType,
    body: "{}",
    timeout: objectTimeout,
  });
}

/** For the request of one object, so that a safe point is never far. */
export const objectTimeout = 20_000;

/** The resourceVersion in an answer. */
export function resourceVersionOf(response: ApiResponse): string {
  const { metadata } = JSON.parse(response.body) as { metadata: { resourceVersion: string } };
  return metadata.resourceVersion;
}
