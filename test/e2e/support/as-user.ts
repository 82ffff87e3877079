/**
 * An API server as another user sees it: plain HTTP here, the administrator's certificate and Impersonate-User behind. Priority
 * and fairness exempts administrators, so that it can be met only as somebody else.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Pool } from "undici";
import type { LocalControlPlaneHost } from "../../../core/local-control-plane";

export interface AsUser {
  readonly url: string;
  /** Answers so far, by status. */
  readonly answers: ReadonlyMap<number, number>;
  close(): Promise<void>;
}

export async function asUser({ apiServerUrl, client }: LocalControlPlaneHost, user: string): Promise<AsUser> {
  const [ca, cert, key] = [client.caFile, client.certFile, client.keyFile].map((file) => readFileSync(file));
  const pool = new Pool(apiServerUrl, { connections: 64, connect: { ca, cert, key } });
  const answers = new Map<number, number>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      void (async () => {
        const { accept = "", "content-type": type } = request.headers;
        const answer = await pool.request({
          method: request.method as "GET",
          path: request.url ?? "",
          headers: { accept, "impersonate-user": user, ...(type && { "content-type": type }) },
          ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
        });
        answers.set(answer.statusCode, (answers.get(answer.statusCode) ?? 0) + 1);
        const retryAfter = answer.headers["retry-after"];
        response.writeHead(answer.statusCode, {
          "content-type": "application/json",
          ...(retryAfter && { "retry-after": String(retryAfter) }),
        });
        response.end(Buffer.from(await answer.body.arrayBuffer()));
      })().catch(() => request.socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await pool.close();
    },
  };
}
