/** TLS over a connection that somebody else makes, as undici takes it: the way to an API server behind SSH. */
import type { Duplex } from "node:stream";
import { type ConnectionOptions, checkServerIdentity, connect, type PeerCertificate } from "node:tls";
import type { buildConnector } from "undici";

/** The connection, and names of which the certificate of the server at its end must have one. */
export interface WayToServer {
  dial(): Promise<Duplex>;
  readonly serverNames: readonly string[];
}

const handshakeTimeout = 10_000;

/**
 * The certificate must be the cluster authority's and have one of the names. Which of them cannot be known beforehand: a host's
 * own loopback address is in few API servers' certificates.
 */
export function connectBy(
  { dial, serverNames }: WayToServer,
  tls: Pick<ConnectionOptions, "ca" | "cert" | "key">,
): buildConnector.connector {
  return (_options, callback) => {
    dial().then(
      (through) => {
        const [servername = "kubernetes"] = serverNames;
        const socket = connect({
          ...tls,
          socket: through,
          servername,
          ALPNProtocols: ["http/1.1"],
          checkServerIdentity: (_host: string, certificate: PeerCertificate) => {
            const problems = serverNames.map((name) => checkServerIdentity(name, certificate));
            return problems.includes(undefined) ? undefined : problems[0];
          },
        });
        const timer = setTimeout(() => socket.destroy(new Error("no TLS handshake in time")), handshakeTimeout);
        let told = false;
        const tell = (act: () => void) => {
          clearTimeout(timer);
          if (!told) act();
          told = true;
        };
        socket.on("error", (error: Error) => tell(() => callback(error, null)));
        socket.on("close", () => tell(() => callback(new Error("the connection was closed"), null)));
        socket.once("secureConnect", () => tell(() => callback(null, socket)));
      },
      (thrown: unknown) => callback(thrown instanceof Error ? thrown : new Error(String(thrown)), null),
    );
  };
}
