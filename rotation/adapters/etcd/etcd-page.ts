/** A page that an etcd member serves beside gRPC, over a connection that is there: Node's HTTP client is given the socket. */
import { request } from "node:http";
import type { Duplex } from "node:stream";
import { KmsEtcdError } from "../../../core/errors";

/** etcd's metrics are some 100 KiB. */
const longestPage = 4 << 20;

/** Closes the connection. */
export async function readPage(url: URL, socket: Duplex, signal: AbortSignal): Promise<string> {
  const unreachable = (why: string) =>
    new KmsEtcdError("unreachable", `etcd at ${url.origin}: ${url.pathname}: ${why}`);
  try {
    return await new Promise<string>((resolve, reject) => {
      const asked = request({ path: url.pathname, host: url.hostname, createConnection: () => socket, signal });
      asked.once("error", (error: NodeJS.ErrnoException) => reject(unreachable(error.code ?? error.message)));
      asked.once("response", (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on("data", (chunk: Buffer) => {
          chunks.push(chunk);
          length += chunk.length;
          if (length > longestPage) asked.destroy(unreachable("its answer is too long"));
        });
        response.once("error", (error) => reject(unreachable(error.message)));
        response.once("end", () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString("utf8"));
          else reject(unreachable(`status ${response.statusCode ?? "none"}`));
        });
      });
      asked.end();
    });
  } finally {
    socket.destroy();
  }
}
