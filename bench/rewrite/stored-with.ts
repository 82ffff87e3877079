/** How many objects are stored with the key that the servers write now: what a measurement is checked against. */
import { readFileSync } from "node:fs";
import { createStoredObjects } from "../../rotation/adapters/kubernetes/stored-objects";
import type { Scene } from "./methods";

export async function storedWith({ cluster, dataset, provider }: Scene): Promise<number> {
  const { client, endpoints, prefix } = cluster.controlPlane.etcd;
  const read = (file: string) => readFileSync(file, "utf8");
  const tls = { ca: read(client.caFile), cert: read(client.certFile), key: read(client.keyFile) };
  const stored = createStoredObjects({ servers: cluster.addresses, etcd: { endpoints, tls, prefix } });
  const targets = [{ resource: dataset.resource, key: { provider } }];
  const proof = await stored.measure(targets, [], () => undefined, new AbortController().signal);
  await stored.close();
  return proof.resources[0]?.keys.find(({ key }) => key.provider === provider)?.objects ?? 0;
}
