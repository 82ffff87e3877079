/** An HTTP proxy that tunnels (CONNECT), and remembers where to. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";

export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of each tunnel. */
  readonly tunnels: readonly string[];
  /** While it is set, whoever asks for a tunnel gets no answer, also later. */
  isSilent: boolean;
  close(): Promise<void>;
}

export async function startConnectProxy(
  options: { readonly tls?: { readonly key: string; readonly cert: string } } = {},
): Promise<ConnectProxy> {
  const tunnels: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = options.tls === undefined ? createServer(refuse) : createTlsServer({ ...options.tls }, refuse);
  server.on("connect", (request, client: Socket) => {
    tunnels.push(String(request.url));
    sockets.add(client);
    if (proxy.isSilent) {
      client.on("error", () => undefined).on("close", () => sockets.delete(client));
      return;
    }
    const [host, port] = String(request.url).split(":");
    const target = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      target.pipe(client).pipe(target);
    });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: ConnectProxy = {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tunnels,
    isSilent: false,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
  return proxy;
}

function refuse(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(405).end();
}
