/** A way to a port of this machine that can be cut: at once, or after so many packets from the client. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface CuttableWay {
  readonly port: number;
  /** The next connections end after so many packets in the client's direction; undefined: they stay. */
  cutAfter(packets: number | undefined): void;
  /** One connection ends after so many packets from now on; those after it stay. */
  cutOnceAfter(packets: number): void;
  cutNow(): void;
  close(): Promise<void>;
}

export async function cuttableWay(to: number): Promise<CuttableWay> {
  const sockets = new Set<Socket>();
  let limit: number | undefined;
  let once = false;
  let seen = 0;
  const server = createServer((client) => {
    const host = connect(to, "127.0.0.1");
    const cut = () => {
      client.destroy();
      host.destroy();
    };
    for (const socket of [client, host]) {
      sockets.add(socket);
      socket.on("close", () => {
        sockets.delete(socket);
        cut();
      });
      socket.on("error", cut);
    }
    client.on("data", (data) => {
      seen += 1;
      if (limit === undefined || seen <= limit) {
        host.write(data);
        return;
      }
      if (once) limit = undefined;
      cut();
    });
    host.on("data", (data) => client.write(data));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cutNow = () => {
    for (const socket of sockets) socket.destroy();
  };
  const cutFrom = (packets: number | undefined, onlyOnce: boolean) => {
    limit = packets;
    once = onlyOnce;
    seen = 0;
  };
  return {
    port: (server.address() as AddressInfo).port,
    cutAfter: (packets) => cutFrom(packets, false),
    cutOnceAfter: (packets) => cutFrom(packets, true),
    cutNow,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      cutNow();
      await closed;
    },
  };
}
