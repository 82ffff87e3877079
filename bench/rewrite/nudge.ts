/**
 * Changes an object of its own once a second, so that watchers of its resource see that they are up to date, and says when any
 * other object of the resource changes for the first time.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import type { Scene } from "./methods";

const name = "nudge";

export interface Nudging {
  close(): Promise<void>;
}

/** Returns once the watch has begun. */
export async function nudge({ cluster, dataset }: Scene, onFirstChange: () => void): Promise<Nudging> {
  const [address] = cluster.addresses;
  const pool = new Pool(address?.url ?? "", { connections: 3, connect: { ...address?.tls } });
  const stop = new AbortController();
  const namespaced = `/api/v1/namespaces/${dataset.sampleNamespace}/${dataset.resource}`;
  const headers = { "content-type": "application/json" };
  const made = await pool.request({
    method: "POST",
    path: namespaced,
    headers,
    body: JSON.stringify({ metadata: { name } }),
  });
  await made.body.dump();
  const accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
  const list = await pool.request({ method: "GET", path: `/api/v1/${dataset.resource}?limit=1`, headers: { accept } });
  const { metadata } = (await list.body.json()) as { metadata: { resourceVersion: string } };
  const events = await pool.request({
    method: "GET",
    path: `/api/v1/${dataset.resource}?watch=true&resourceVersion=${metadata.resourceVersion}`,
    headers: { accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" },
    signal: stop.signal,
    bodyTimeout: 0,
  });
  if (events.statusCode !== 200) throw new Error(`watching ${dataset.resource}: ${await events.body.text()}`);
  const watching = (async () => {
    let text = "";
    for await (const chunk of events.body) {
      text += String(chunk);
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      const changed = lines.some(
        (line) => (JSON.parse(line) as { object: { metadata: { name: string } } }).object.metadata.name !== name,
      );
      if (!changed) continue;
      onFirstChange();
      return;
    }
  })().catch(() => undefined);
  const nudging = (async () => {
    for (let count = 0; !stop.signal.aborted; count++) {
      await delay(1_000, undefined, { signal: stop.signal }).catch(() => undefined);
      const body = JSON.stringify({ metadata: { annotations: { count: String(count) } } });
      const answer = await pool.request({
        method: "PATCH",
        path: `${namespaced}/${name}`,
        headers: { "content-type": "application/merge-patch+json" },
        body,
      });
      await answer.body.dump();
    }
  })().catch(() => undefined);
  return {
    close: async () => {
      stop.abort();
      await Promise.all([watching, nudging]);
      await pool.request({ method: "DELETE", path: `${namespaced}/${name}` }).then(({ body }) => body.dump());
      await pool.destroy();
    },
  };
}
