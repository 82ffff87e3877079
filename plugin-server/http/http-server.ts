/** Small HTTP servers for health and metrics. */
import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { describeError, KmsEtcdError } from "../../core/errors";
import type { ListenAddress } from "../config/operation-config";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

/** By path. */
export type Routes = Readonly<Record<string, () => Promise<Answer>>>;

export interface HttpServer {
  /** As bound: `host:port`. */
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

/** More than probes and scrapes ever need, and few enough to hold open. */
const mostConnections = 256;
/** How often connections are looked through for those whose time is up; Node's default lets them stay half a minute longer. */
const checkIntervalMs = 1_000;

/**
 * Undefined when the address is a default one that is taken: two plugins side by side on one host must both start.
 * @param flag names the address in errors.
 */
export async function startHttpServer(
  address: ListenAddress,
  flag: string,
  routes: Routes,
): Promise<HttpServer | undefined> {
  const server = createServer({ connectionsCheckingInterval: checkIntervalMs }, (request, response) => {
    // The connection that has been silent for longest stands first.
    connections.delete(request.socket);
    connections.add(request.socket);
    // Not by URL, which throws for what anybody on the network may send: `GET //`.
    const [pathname = "/"] = (request.url ?? "/").split("?", 1);
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    const answered = request.method === "GET" || request.method === "HEAD" ? (route ?? notFound)() : notAllowed();
    void answered
      .catch((): Answer => ({ status: 500, body: "the plugin failed in an unexpected way\n" }))
      .then(({ status, body, contentType = "text/plain; charset=utf-8" }) => {
        response.writeHead(status, { "content-type": contentType, "x-content-type-options": "nosniff" });
        response.end(request.method === "HEAD" ? undefined : body);
      });
  });
  // A slow or idle client must not hold a connection for the five minutes that are Node's default.
  server.headersTimeout = 5_000;
  server.requestTimeout = 10_000;
  // Not `maxConnections`, which refuses the new one: it may be kubelet's, and those that keep it out are anybody's.
  const connections = new Set<Socket>();
  server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
    if (connections.size <= mostConnections) return;
    const [oldest] = connections;
    oldest?.destroy();
  });
  try {
    await listen(server, address);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE" && !address.explicit) return undefined;
    throw new KmsEtcdError(
      "conflict",
      `can't listen on ${textOf(address.host, address.port)} (--${flag}): ${describeError(error)}`,
      {
        remedy: `give another port, or "none"`,
        cause: error,
      },
    );
  }
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  return {
    address: textOf(address.host, port),
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // Without a host Node listens on all interfaces, IPv6 and IPv4.
    server.listen({ port: address.port, ...(address.host === "" ? {} : { host: address.host }) }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function textOf(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

const notFound = (): Promise<Answer> => Promise.resolve({ status: 404, body: "not found\n" });
const notAllowed = (): Promise<Answer> => Promise.resolve({ status: 405, body: "only GET and HEAD are allowed\n" });
