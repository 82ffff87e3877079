/**
 * A second look at what is stored, for people: Secrets as etcd has them, through etcd's own JSON gateway. It shares nothing
 * with the engine's verifier, so that the example shows what is there and not what the engine says.
 */
import { readFileSync } from "node:fs";
import { Pool } from "undici";
import type { LocalControlPlane } from "../../core/local-control-plane";

export interface StoredSecrets {
  readonly total: number;
  /** Objects per prefix: `k8s:enc:kms:v2:<provider>` or `plaintext`. */
  readonly perPrefix: ReadonlyMap<string, number>;
  /** The first printable bytes of one value. */
  readonly sample: { readonly key: string; readonly start: string } | undefined;
}

const page = 500;
const sampleBytes = 88;

/** Reads every Secret's value, page by page. */
export async function storedSecrets(controlPlane: LocalControlPlane): Promise<StoredSecrets> {
  const { endpoints, client, prefix } = controlPlane.etcd;
  const pool = new Pool(endpoints[0] as string, {
    connect: {
      ca: readFileSync(client.caFile),
      cert: readFileSync(client.certFile),
      key: readFileSync(client.keyFile),
    },
  });
  const perPrefix = new Map<string, number>();
  let total = 0;
  let sample: StoredSecrets["sample"];
  let from = `${prefix}/secrets/`;
  const end = `${prefix}/secrets0`; // "0" is the character after "/"
  try {
    for (;;) {
      const answer = await pool.request({
        method: "POST",
        path: "/v3/kv/range",
        body: JSON.stringify({ key: base64(from), range_end: base64(end), limit: page }),
      });
      const { kvs = [], more } = (await answer.body.json()) as {
        kvs?: { key: string; value: string }[];
        more?: boolean;
      };
      for (const entry of kvs) {
        const value = Buffer.from(entry.value, "base64");
        const found = prefixOf(value);
        perPrefix.set(found, (perPrefix.get(found) ?? 0) + 1);
        const key = Buffer.from(entry.key, "base64").toString();
        if (sample === undefined && key.includes("/demo-")) sample = { key, start: printable(value) };
      }
      total += kvs.length;
      const last = kvs.at(-1);
      if (more !== true || last === undefined) return { total, perPrefix, sample };
      from = `${Buffer.from(last.key, "base64").toString()}\0`;
    }
  } finally {
    await pool.close();
  }
}

function prefixOf(value: Buffer): string {
  const head = value.subarray(0, 200).toString("latin1");
  return /^k8s:enc:[^:]+:v\d:[^:]+/.exec(head)?.[0] ?? "plaintext";
}

function printable(value: Buffer): string {
  return value
    .subarray(0, sampleBytes)
    .toString("latin1")
    .replace(/[^\x20-\x7e]+/g, "·");
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
