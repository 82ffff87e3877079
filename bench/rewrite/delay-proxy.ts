/** A TCP proxy that lets every byte arrive later, as if the server were that far away, and counts them. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface DelayProxy {
  readonly port: number;
  /** So far: to the server, and from it. */
  bytes(): { readonly sent: number; readonly received: number };
  close(): void;
}

/** `roundTrip` in milliseconds: half of it on each way. */
export async function delayProxy(targetPort: number, roundTrip: number): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  const counted = { sent: 0, received: 0 };
  const pipeLate = (from: Socket, to: Socket, direction: keyof typeof counted) => {
    sockets.add(from);
    from.on("data", (chunk) => {
      counted[direction] += chunk.length;
      setTimeout(() => to.writable && to.write(chunk), roundTrip / 2);
    });
    from.on("close", () => {
      sockets.delete(from);
      setTimeout(() => to.end(), roundTrip / 2);
    });
    from.on("error", () => to.destroy());
  };
  const server = createServer((near) => {
    const far = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
    near.setNoDelay(true);
    pipeLate(near, far, "sent");
    pipeLate(far, near, "received");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    bytes: () => ({ ...counted }),
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
