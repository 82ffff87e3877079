/** The network between the engine and one server, which a test can cut: a TCP proxy that then swallows everything. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface NetworkLink {
  /** `https://127.0.0.1:<port>` of this side. */
  readonly url: string;
  /** As behind a dead router: connections stay open and nothing comes through, new ones get no answer. */
  cut(): void;
  /** New connections get through again. The old ones end, without what was on its way. */
  mend(): void;
  readonly isCut: () => boolean;
  close(): Promise<void>;
}

export async function networkLink(target: string): Promise<NetworkLink> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isCut = false;

  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    keep(near);
    near.on("error", () => near.destroy());
    if (isCut) {
      near.pause();
      return;
    }
    const far = connect(Number(port), hostname);
    keep(far);
    far.on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const)
      one.on("close", () => isCut || other.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut: () => {
      isCut = true;
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    mend: () => {
      isCut = false;
      for (const socket of sockets) socket.destroy();
    },
    isCut: () => isCut,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
