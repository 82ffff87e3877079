/** The EC2 instance metadata service, version 2 only: without a session token it answers 401, as kOps' instances do. */
import { randomUUID } from "node:crypto";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer, type Socket } from "node:net";
import type { AccessKey } from "./sigv4";

export interface MetadataFake {
  readonly url: string;
  /** How often credentials were given out. */
  readonly issued: () => number;
  close(): Promise<void>;
}

const role = "control-plane";

/** `issue` makes the credentials of each answer; tell the KMS fake about them there. */
export async function startMetadataFake(issue: () => AccessKey, region = "eu-west-1"): Promise<MetadataFake> {
  const sessions = new Set<string>();
  let issued = 0;

  function answer(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === "PUT" && request.url === "/latest/api/token") {
      const session = randomUUID();
      const hasLifetime = Number(request.headers["x-aws-ec2-metadata-token-ttl-seconds"]) > 0;
      if (hasLifetime) sessions.add(session);
      response.writeHead(hasLifetime ? 200 : 400).end(hasLifetime ? session : "");
      return;
    }
    if (!sessions.has(String(request.headers["x-aws-ec2-metadata-token"]))) {
      response.writeHead(401).end();
      return;
    }
    switch (request.url) {
      case "/latest/meta-data/placement/region":
        response.end(region);
        return;
      case "/latest/meta-data/iam/security-credentials/":
        response.end(role);
        return;
      case `/latest/meta-data/iam/security-credentials/${role}`: {
        issued += 1;
        const key = issue();
        response.end(
          JSON.stringify({
            Code: "Success",
            Type: "AWS-HMAC",
            LastUpdated: new Date().toISOString(),
            AccessKeyId: key.accessKeyId,
            SecretAccessKey: key.secretAccessKey,
            Token: key.sessionToken,
            Expiration: new Date(key.expiresAt ?? Date.now() + 6 * 3_600_000).toISOString(),
          }),
        );
        return;
      }
      default:
        response.writeHead(404).end();
    }
  }

  const server = createHttpServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    issued: () => issued,
    async close() {
      server.closeAllConnections();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

/** A server that accepts connections and never says a word, as an address behind a wrong hop limit seems to. */
export async function startSilentServer(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}
