import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Server, utils } from "ssh2";
import type { KmsEtcdError } from "../../../../core/errors";
import { connectSsh } from "../../../../rotation/adapters/ssh/ssh-client";

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs1", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const hostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/** What a host does that is on its way down, or up: it takes the connection, and that is all. */
describe("an SSH connection that ends before the server has said a word", () => {
  for (const [how, end] of [
    ["is reset", (socket: Socket) => socket.once("data", () => socket.resetAndDestroy())],
    ["is closed", (socket: Socket) => socket.once("data", () => socket.destroy())],
  ] as const) {
    it(`${how} => refused as unreachable, and nothing is thrown at the process`, async () => {
      const uncaught: unknown[] = [];
      const hear = (thrown: unknown) => void uncaught.push(thrown);
      // Mocha's own listeners would end the test; they are back when it is over.
      const others = process.listeners("uncaughtException");
      process.removeAllListeners("uncaughtException").on("uncaughtException", hear);
      const server = createServer(end);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      try {
        await assert.rejects(
          connectSsh({
            name: "cp1",
            address: "127.0.0.1",
            port,
            user: "root",
            privateKey,
            knownHosts: `[127.0.0.1]:${port} ${hostKey}\n`,
          }),
          (error: KmsEtcdError) => error.code === "unreachable" && error.message.startsWith("cp1"),
        );
        await delay(50);
        assert.deepEqual(uncaught, []);
      } finally {
        process.removeListener("uncaughtException", hear);
        for (const other of others) process.on("uncaughtException", other);
        server.close();
      }
    });
  }
});

describe("a command over SSH", () => {
  it("whose end comes in one piece with its beginning => its exit code and output are there, each time", async function () {
    this.timeout(60_000);
    const server = new Server({ hostKeys: [privateKey] }, (client) => {
      client.on("authentication", (context) => context.accept());
      client.on("error", () => undefined);
      client.on("session", (accept) =>
        accept().on("exec", (take) => {
          const stream = take();
          stream.write("out");
          stream.exit(3);
          stream.end();
        }),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const known = utils.parseKey(privateKey);
    assert.ok(!(known instanceof Error));
    const client = await connectSsh({
      name: "cp1",
      address: "127.0.0.1",
      port,
      user: "root",
      privateKey,
      knownHosts: `[127.0.0.1]:${port} ssh-rsa ${known.getPublicSSH().toString("base64")}\n`,
    });
    try {
      for (let count = 0; count < 50; count += 1) {
        assert.deepEqual(await client.run("date"), { code: 3, stdout: "out", stderr: "" });
      }
    } finally {
      client.close();
      server.close();
    }
  });
});
