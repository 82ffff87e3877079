/**
 * Reads every object from etcd through one API server. A GET without resourceVersion always does that, while a list is
 * answered from the watch cache and would prove nothing (apiserver cacher/delegator.go).
 */
import type { ReadThroughProof, ServerState } from "../../observation";
import type { Progress } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { metadataAccept, objectTimeout } from "./no-op-patch";
import { runPass } from "./object-pass";
import { resourcePath, type ServedResource } from "./resources";

export async function readObjectsThrough(
  client: ApiClient,
  state: ServerState,
  resources: readonly ServedResource[],
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<ReadThroughProof> {
  const { objects, failures } = await runPass({
    clients: [client],
    resources,
    ask: (server, object) => {
      const path = resourcePath(object.resource, object);
      return server.send({ method: "GET", path, accept: metadataAccept, timeout: objectTimeout });
    },
    isAnswer: (status) => status === 404,
    onProgress,
    signal,
  });
  return { state, objects, failures };
}
