import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { claimSocket } from "../../../plugin-server/grpc/claim-socket";
import { startKmsServer } from "../../../plugin-server/grpc/kms-server";

describe("a socket's path", () => {
  let directory: string;
  let path: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "kms-etcd-claim-"));
    path = join(directory, "kms.sock");
  });
  after(() => rm(directory, { recursive: true }));

  const refusal = (code: string, text: RegExp) => (error: unknown) =>
    error instanceof KmsEtcdError && error.code === code && text.test(error.message) && error.remedy !== undefined;

  it("that nothing stands at is free", async () => {
    await claimSocket(path);
  });

  it("that a dead process left is freed", async () => {
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    assert.ok(existsSync(path));
    await claimSocket(path);
    assert.deepEqual(readdirSync(directory), []);
  });

  it("that a live process serves is refused, and stays as it is", async () => {
    const server = createServer((socket) => void socket.on("error", () => {}));
    server.listen(path);
    await once(server, "listening");
    try {
      await assert.rejects(claimSocket(path), refusal("conflict", /^a running process serves .*kms\.sock$/));
      assert.deepEqual(readdirSync(directory), ["kms.sock"]);
    } finally {
      server.close();
      await once(server, "close");
    }
  });

  it("that this user may not look at is refused with what to do, because it may be dead", async function () {
    this.timeout(30_000);
    if (process.getuid?.() !== 0) this.skip(); // only root can become another user
    await chmod(directory, 0o755);
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", script]), "exit");
    await chmod(path, 0o600);
    const { seteuid } = process;
    assert.ok(seteuid);
    // For the connection only: it is made while `claimSocket` runs.
    seteuid(65_532);
    try {
      await assert.rejects(claimSocket(path), refusal("conflict", /belongs to another user.*may not see whether/));
    } finally {
      seteuid(0);
    }
    await rm(path);
  });

  it("that is a file is refused, and stays as it is", async () => {
    writeFileSync(path, "precious");
    await assert.rejects(claimSocket(path), refusal("invalid-input", /exists and is not a socket$/));
    assert.ok(existsSync(path));
    await rm(path);
  });

  it("in a directory that does not exist gives an error that says so", async () => {
    await assert.rejects(
      startKmsServer(join(directory, "absent", "kms.sock"), {} as never),
      refusal("invalid-input", /can't listen on .*absent\/kms\.sock/),
    );
  });
});
