/** What is kept of the values that a scan reads: numbers, and a few names for messages to people. Memory does not grow with them. */
import { readStoredValue, type StoredValue } from "../../../core/stored-value";
import type { WriteKey } from "../../../core/write-key";
import type { LargeValue, StoredResource } from "../../observation";
import type { KeyValue } from "./etcd-client";
import { kmsV2Parts, localOverhead } from "./etcd-scan-parts";

/** etcd's default for --max-request-bytes. A value this near to it is looked at by the plan. */
export const etcdRequestLimit = 1_572_864;
const nearTheLimit = etcdRequestLimit - 16_384;
const shownExamples = 3;
const shownUnknown = 10;
const keptLarge = 100;
/** A key has as many data keys as there were server starts and reloads while it wrote. */
const countedDataKeys = 10_000;

interface Counted {
  readonly key: WriteKey;
  objects: number;
  readonly examples: string[];
  readonly dataKeys: Set<string>;
  /** NaN once it is not known of one of them. */
  newest: number;
}

/**
 * `rootLength`: of the etcd prefix with its slashes, which names leave out. `isOneEtcd`: whether all values come from one etcd,
 * so that their revisions can be compared.
 */
export function keyCounts(rootLength: number, isOneEtcd: boolean) {
  // By a text, because there are few keys and many values.
  const known = new Map<string, Counted>();
  const unknownValues: { object: string; reason: string }[] = [];
  const large: LargeValue[] = [];
  let objects = 0;
  let bytes = 0;
  let unknown = 0;
  const nameOf = (key: Buffer) => key.toString("utf8", rootLength);

  function entryOf(stored: Extract<StoredValue, { kind: "known" }>): Counted {
    const { provider, keyId } = stored;
    const id = keyId === undefined ? provider : `${provider} ${keyId}`;
    const found = known.get(id);
    if (found !== undefined) return found;
    const key = keyId === undefined ? { provider } : { provider, keyId };
    const entry = { key, objects: 0, examples: [], dataKeys: new Set<string>(), newest: 0 };
    known.set(id, entry);
    return entry;
  }

  return {
    add: ({ key, value, modRevision }: KeyValue) => {
      objects += 1;
      bytes += value.length;
      const stored = readStoredValue(value);
      if (stored.kind === "unknown") {
        unknown += 1;
        if (unknownValues.length < shownUnknown) unknownValues.push({ object: nameOf(key), reason: stored.reason });
        return;
      }
      const entry = entryOf(stored);
      entry.objects += 1;
      entry.newest = modRevision > 0 ? Math.max(entry.newest, modRevision) : Number.NaN;
      if (entry.examples.length < shownExamples) entry.examples.push(nameOf(key));
      const parts = kmsV2Parts(value, stored.provider);
      if (parts !== undefined && entry.dataKeys.size < countedDataKeys) entry.dataKeys.add(parts.dataKey);
      if (value.length > nearTheLimit && large.length < keptLarge) {
        const overhead = parts?.overhead ?? localOverhead(stored.provider);
        large.push({ object: nameOf(key), plainBytes: value.length - overhead, keyBytes: key.length });
      }
    },
    result: (): Omit<StoredResource, "resource"> => ({
      objects,
      bytes,
      unknown,
      keys: [...known.values()].map(({ key, objects: count, examples, dataKeys, newest }) => ({
        key,
        objects: count,
        examples,
        ...(dataKeys.size > 0 && { dataKeys: dataKeys.size }),
        ...(isOneEtcd && !Number.isNaN(newest) && { newest }),
      })),
      ...(unknownValues.length > 0 && { unknownValues }),
      ...(large.length > 0 && { large }),
    }),
  };
}
