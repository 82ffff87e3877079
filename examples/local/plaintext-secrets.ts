/** The Secrets that the example starts with: made while nothing is encrypted yet. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import pLimit from "p-limit";
import { Pool } from "undici";
import type { LocalControlPlane } from "../../core/local-control-plane";

const inFlight = 16;
const secretBytes = 750; // about 1 KiB as stored

/** Creates `count` Secrets `demo-0000`...; those that exist already stay. Returns how many were created. */
export async function createSecrets(
  controlPlane: LocalControlPlane,
  count: number,
  onProgress: (done: number) => void,
): Promise<number> {
  const [host] = controlPlane.hosts;
  if (host === undefined) throw new Error("the control plane has no host");
  const { caFile, certFile, keyFile } = host.client;
  const pool = new Pool(host.apiServerUrl, {
    connections: inFlight,
    connect: { ca: readFileSync(caFile), cert: readFileSync(certFile), key: readFileSync(keyFile) },
  });
  const limit = pLimit(inFlight);
  let done = 0;
  let created = 0;
  const create = async (index: number) => {
    const name = `demo-${String(index).padStart(4, "0")}`;
    const data = {
      password: Buffer.from(`plaintext-${name}-${randomBytes(secretBytes / 2).toString("hex")}`).toString("base64"),
    };
    const answer = await pool.request({
      method: "POST",
      path: "/api/v1/namespaces/default/secrets",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name }, data }),
    });
    const text = await answer.body.text();
    if (answer.statusCode === 201) created += 1;
    else if (answer.statusCode !== 409)
      throw new Error(`creating Secret ${name}: ${answer.statusCode} ${text.slice(0, 300)}`);
    done += 1;
    if (done % 100 === 0) onProgress(done);
  };
  try {
    await Promise.all(Array.from({ length: count }, (_, index) => limit(create, index)));
  } finally {
    await pool.close();
  }
  return created;
}
