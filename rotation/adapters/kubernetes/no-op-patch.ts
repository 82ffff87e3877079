/**
 * The no-op write: an empty patch makes an API server store the object again if the stored bytes are not what its own
 * configuration would write, and otherwise leaves them alone (apiserver etcd3/store.go, GuaranteedUpdate). The answer is
 * metadata only.
 */
import type { ApiClient, ApiResponse } from "./api-client";
import type { ListedObject } from "./paged-list";
import { resourcePath } from "./resources";

export const metadataAccept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

export function noOpPatch(client: ApiClient, object: ListedObject): Promise<ApiResponse> {
  return client.send({
    method: "PATCH",
    path: resourcePath(object.resource, object),
    accept: metadataAccept,
    // Custom resources take no strategic merge patch, and for an empty one there is no difference.
    contentType: "application/merge-patch+json",
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
