/**
 * VERIFY with etcd access: every stored value's prefix and key_id is read, and counted. Nothing is decrypted. The scan reads one
 * revision of etcd for as long as etcd still has it; then it goes on with a newer one behind the last key, which loses nothing:
 * what changed meanwhile was written with the new key, and what did not change is still ahead.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { StoredResource } from "../../observation";
import type { Progress } from "../../stored-objects";
import type { EtcdClient, RangeResponse } from "./etcd-client";
import { type KeyRange, rootOf } from "./etcd-keys";
import { keyCounts } from "./etcd-scan-counts";

/** Answers of about this size keep etcd and us busy at the same time without holding much memory. */
const pageBytes = 2 << 20;
const firstLimit = 200;
const largestLimit = 5_000;

/** Counts per provider and key_id for each name: `ranges` says what is to be read for it, `clientOf` from which etcd. */
export async function scanStoredValues(
  clientOf: (override: string | undefined) => EtcdClient,
  ranges: ReadonlyMap<string, readonly KeyRange[]>,
  etcdPrefix: string,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
): Promise<readonly StoredResource[]> {
  const tally = progressTally(onProgress, [...ranges.values()].flat().length);
  const resources: StoredResource[] = [];
  for (const [resource, parts] of ranges) {
    const isOneEtcd = new Set(parts.map(({ override }) => override)).size === 1;
    const counts = keyCounts(rootOf(etcdPrefix).length, isOneEtcd);
    for (const part of parts) {
      for await (const page of pages(clientOf(part.override), part.prefix, signal)) {
        tally.page(page);
        for (const entry of page.response.entries) {
          if (part.except.length === 0 || !isExcepted(entry.key, part.except)) counts.add(entry);
        }
      }
    }
    resources.push({ resource, ...counts.result() });
  }
  return resources;
}

/** The keys below a prefix, without it, page by page. */
export async function* storedKeys(
  client: EtcdClient,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<readonly string[]> {
  for await (const { response } of pages(client, prefix, signal)) {
    yield response.entries.map(({ key }) => key.toString("utf8", Buffer.byteLength(prefix)));
  }
}

interface Page {
  readonly response: RangeResponse;
  readonly isFirst: boolean;
}

async function* pages(client: EtcdClient, prefix: string, signal: AbortSignal): AsyncGenerator<Page> {
  const rangeEnd = endOfPrefix(prefix);
  let revision = 0;
  let limit = firstLimit;
  let isFirst = true;

  async function read(key: Buffer): Promise<RangeResponse> {
    for (;;) {
      try {
        const response = await client.range({ key, rangeEnd, limit, revision }, signal);
        if (revision === 0) revision = response.revision;
        const average = response.size / Math.max(response.entries.length, 1);
        limit = Math.min(Math.max(Math.floor(pageBytes / Math.max(average, 1)), 1), largestLimit, limit * 4);
        return response;
      } catch (thrown) {
        if (!(thrown instanceof KmsEtcdError)) throw thrown;
        if (thrown.code === "conflict" && revision !== 0) revision = 0;
        else if (thrown.code === "throttled" && limit > 1) limit = Math.max(Math.floor(limit / 4), 1);
        else throw thrown;
      }
    }
  }

  let next: Promise<RangeResponse> | undefined = read(Buffer.from(prefix));
  while (next !== undefined) {
    const response: RangeResponse = await next;
    const last = response.entries.at(-1)?.key;
    next = response.more && last !== undefined ? read(Buffer.concat([last, Buffer.alloc(1)])) : undefined;
    // The reader may stop in the middle: then nobody waits for this promise.
    next?.catch(() => undefined);
    yield { response, isFirst };
    isFirst = false;
  }
}

/** The first key behind all keys with this prefix. Prefixes end with "/", so the last byte can be raised. */
export function endOfPrefix(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  end.writeUInt8(end.readUInt8(end.length - 1) + 1, end.length - 1);
  return end;
}

function isExcepted(key: Buffer, prefixes: readonly string[]): boolean {
  const text = key.toString("utf8");
  return prefixes.some((prefix) => text.startsWith(prefix));
}

/** The total is known once every range has told its own count. */
function progressTally(onProgress: (progress: Progress) => void, ranges: number) {
  let done = 0;
  let total = 0;
  let begun = 0;
  return {
    page: ({ response, isFirst }: Page) => {
      if (isFirst) {
        begun += 1;
        total += response.count;
      }
      done += response.entries.length;
      onProgress({ done, total: begun === ranges ? Math.max(total, done) : undefined });
    },
  };
}
