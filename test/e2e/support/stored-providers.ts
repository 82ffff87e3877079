/** What etcd holds of a resource, by its own bytes: read by the test's own hand, as nothing of the engine's. */
import { readFileSync } from "node:fs";
import { Pool } from "undici";
import type { LocalControlPlane } from "../../../core/local-control-plane";

/** How many values begin with each provider's prefix, or are `plaintext`. The directory is `secrets`, `configmaps`, `example.com/pandas`. */
export async function storedProviders(
  { endpoints, client }: LocalControlPlane["etcd"],
  directory = "secrets",
): Promise<Record<string, number>> {
  const [ca, cert, key] = [client.caFile, client.certFile, client.keyFile].map((file) => readFileSync(file));
  const pool = new Pool(endpoints[0] as string, { connect: { ca, cert, key } });
  const encode = (text: string) => Buffer.from(text).toString("base64");
  const answer = await pool.request({
    method: "POST",
    path: "/v3/kv/range",
    body: JSON.stringify({ key: encode(`/registry/${directory}/`), range_end: encode(`/registry/${directory}0`) }),
  });
  const { kvs = [] } = (await answer.body.json()) as { kvs?: { value: string }[] };
  await pool.close();
  const counts: Record<string, number> = {};
  for (const { value } of kvs) {
    const head = Buffer.from(value, "base64").subarray(0, 200).toString("latin1");
    const prefix = /^k8s:enc:[^:]+:v\d:[^:]+/.exec(head)?.[0] ?? "plaintext";
    counts[prefix] = (counts[prefix] ?? 0) + 1;
  }
  return counts;
}
