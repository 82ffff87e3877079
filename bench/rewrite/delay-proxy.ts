/** A TCP proxy that lets every byte arrive later, as if the server were that far away. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface DelayProxy {
  readonly port: number;
  close(): void;
}

/** `roundTrip` in milliseconds: half of it on each way. */
export async function delayProxy(targetPort: number, roundTrip: number): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  const pipeLate = (from: Socket, to: Socket) => {
    sockets.add(from);
    from.on("data", (chunk) => setTimeout(() => to.writable && to.write(chunk), roundTrip / 2));
    from.on("close", () => {
      sockets.delete(from);
      setTimeout(() => to.end(), roundTrip / 2);
    });
    from.on("error", () => to.destroy());
  };
  const server = createServer((near) => {
    const far = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
    near.setNoDelay(true);
    pipeLate(near, far);
    pipeLate(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
