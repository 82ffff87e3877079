/** The address of a managed cluster: connections go in turn to those of its API servers that are ready. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface LoadBalancer {
  readonly port: number;
  setReady(port: number, isReady: boolean): void;
  close(): Promise<void>;
}

export async function loadBalancer(ports: readonly number[]): Promise<LoadBalancer> {
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  };
  const ready = new Set(ports);
  let turn = 0;

  function lead(client: Socket, tries: number): void {
    const among = [...ready];
    const server = connect(among[turn++ % among.length] ?? 0, "127.0.0.1");
    keep(server);
    const again = () => (tries > 1 ? lead(client, tries - 1) : client.destroy());
    server.once("error", again);
    server.once("connect", () => {
      server.off("error", again);
      client.on("error", () => server.destroy());
      server.on("error", () => client.destroy());
      client.on("close", () => server.destroy());
      server.on("close", () => client.destroy());
      client.pipe(server).pipe(client);
    });
  }

  const balancer = createServer((client) => {
    keep(client);
    client.on("error", () => client.destroy());
    lead(client, ports.length);
  });
  await new Promise<void>((resolve) => balancer.listen(0, "127.0.0.1", resolve));
  return {
    setReady(port, isReady) {
      if (isReady) ready.add(port);
      else ready.delete(port);
    },
    port: (balancer.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => balancer.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
