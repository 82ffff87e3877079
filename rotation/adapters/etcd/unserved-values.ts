/**
 * Encrypted values of built-in kinds that no API server serves, as a beta that was switched off leaves them. `*.<built-in group>` stands for
 * them too, and when the kind is served again they need the key they have. Their keys in etcd don't say which group they are of.
 */
import { identityProvider } from "../../../core/write-key";
import type { EtcdClient } from "./etcd-client";
import { notObjects, resourceKeyPrefix, rootOf } from "./etcd-keys";
import { endOfPrefix, scanStoredValues } from "./etcd-scan";

/** The prefixes in etcd below which there are such values. `served`: every resource that API servers serve. */
export async function unservedValues(
  client: EtcdClient,
  etcdPrefix: string,
  served: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const root = rootOf(etcdPrefix);
  const known = [
    ...served.map((resource) => resourceKeyPrefix(resource, etcdPrefix)),
    ...notObjects.map((path) => root + path),
  ];
  const found: string[] = [];
  const rangeEnd = endOfPrefix(root);
  let key: Buffer = Buffer.from(root);
  for (;;) {
    const { entries } = await client.range({ key, rangeEnd, limit: 1, revision: 0 }, signal);
    const [first] = entries;
    if (first === undefined) return found;
    const [plural = "", ...below] = first.key.toString("utf8").slice(root.length).split("/");
    const prefix = `${root}${plural}/`;
    // From one kind to the next, without reading what is below.
    key = below.length === 0 ? Buffer.concat([first.key, Buffer.alloc(1)]) : endOfPrefix(prefix);
    const isCustom = plural.includes(".");
    if (below.length === 0 || isCustom || known.some((path) => path.startsWith(prefix))) continue;
    if (await isEncryptedBelow(client, prefix, etcdPrefix, signal)) found.push(prefix);
  }
}

async function isEncryptedBelow(client: EtcdClient, prefix: string, etcdPrefix: string, signal: AbortSignal) {
  const ranges = new Map([[prefix, [{ prefix, except: [] }]]]);
  const counted = await scanStoredValues(() => client, ranges, etcdPrefix, noProgress, signal);
  return counted.some(({ keys, unknown }) => unknown > 0 || keys.some(({ key }) => key.provider !== identityProvider));
}

const noProgress = () => undefined;
