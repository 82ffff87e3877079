/**
 * Reads every object from etcd through one API server. A GET without resourceVersion always does that, while a list is
 * answered from the watch cache and would prove nothing (apiserver cacher/delegator.go).
 */
import type { ReadThroughProof, ServerState } from "../../observation";
import type { Progress, ReadSample } from "../../stored-objects";
import type { ApiClient } from "./api-client";
import { metadataAccept, objectTimeout } from "./no-op-patch";
import { runPass } from "./object-pass";
import type { ListedObject } from "./paged-list";
import { resourcePath, type ServedResource } from "./resources";

export async function readObjectsThrough(
  client: ApiClient,
  state: ServerState,
  resources: readonly ServedResource[],
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<ReadThroughProof> {
  const { objects, failures } = await runPass({ clients: [client], resources, ...reading, onProgress, signal });
  return { state, objects, failures };
}

/** Long enough for every object of a small cluster, and for a rate on a large one. */
const sampleTime = 3_000;

/** For a plan: as many objects as a few seconds allow. What cannot be read would not be rewritten either. */
export async function readSample(
  clients: readonly ApiClient[],
  resources: readonly ServedResource[],
  signal: AbortSignal,
  timeLimit = sampleTime,
): Promise<ReadSample> {
  const begun = performance.now();
  const onProgress = () => undefined;
  const { objects, cut, failures } = await runPass({ clients, resources, ...reading, onProgress, signal, timeLimit });
  return { objects, milliseconds: performance.now() - begun, all: !cut, failures };
}

const reading = {
  ask: (server: ApiClient, object: ListedObject) => {
    const path = resourcePath(object.resource, object);
    return server.send({ method: "GET", path, accept: metadataAccept, timeout: objectTimeout });
  },
  isAnswer: (status: number) => status === 404,
};
