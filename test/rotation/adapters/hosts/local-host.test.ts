import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KmsEtcdError } from "../../../../core/errors";
import { fileHash } from "../../../../rotation/adapters/hosts/file-hash";
import { localHost } from "../../../../rotation/adapters/hosts/local-host";
import { replaceFile } from "../../../../rotation/adapters/hosts/replace-file";

describe("this machine as a host", () => {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-host-"));
  const host = localHost("cp1");
  const at = (name: string) => join(directory, name);
  const soon = () => AbortSignal.timeout(2_000);
  after(() => rmSync(directory, { recursive: true }));

  it("a file is made with its mode and read back with mode, owner and time", async () => {
    const begun = Date.now() - 1_000;
    await host.createFile(at("a"), Buffer.from("text"), 0o640);
    const file = await host.readFile(at("a"));
    assert.ok(file);
    assert.equal(file.bytes.toString(), "text");
    assert.equal(file.mode, 0o640);
    assert.deepEqual(file.owner, { uid: process.geteuid?.(), gid: process.getegid?.() });
    assert.ok(file.modifiedAt >= begun && Number.isInteger(file.modifiedAt));
  });

  it("an older file that is copied over with its times (rsync -a, cp -p) is as new as the copy", async () => {
    const begun = Date.now() - 1_000;
    writeFileSync(at("copied"), "text");
    utimesSync(at("copied"), 1_000_000, 1_000_000);
    assert.equal((await host.readFile(at("copied")))?.modifiedAt, 1_000_000_000);
    assert.ok(((await host.changedAt?.(at("copied"))) ?? 0) >= begun);
    assert.equal(await host.changedAt?.(at("none")), undefined);
  });

  it("a file that exists is not made again", async () => {
    writeFileSync(at("b"), "theirs");
    await assert.rejects(
      host.createFile(at("b"), Buffer.from("mine"), 0o600),
      (error: KmsEtcdError) => error.code === "conflict",
    );
    assert.equal((await host.readFile(at("b")))?.bytes.toString(), "theirs");
  });

  it("what is not there is undefined, an empty list, or false, and no error", async () => {
    assert.equal(await host.readFile(at("none")), undefined);
    assert.deepEqual(await host.listFiles(at("none")), []);
    assert.equal(await host.removeFile(at("none")), false);
  });

  it("directories and links are no files of a list", async () => {
    mkdirSync(at("list/inner"), { recursive: true });
    writeFileSync(at("list/file"), "");
    symlinkSync(at("list/file"), at("list/link"));
    assert.deepEqual(await host.listFiles(at("list")), ["file"]);
  });

  it("a replaced file keeps its owner and mode, and nothing else is left in its directory", async () => {
    mkdirSync(at("replaced"));
    writeFileSync(at("replaced/f"), "old", { mode: 0o644 });
    const chown = process.geteuid?.() === 0;
    if (chown) (await import("node:fs")).chownSync(at("replaced/f"), 12345, 23456);
    writeFileSync(at("replaced/.kms-etcd-tmp.0123"), "left by a killed engine");
    await replaceFile(host, {
      path: at("replaced/f"),
      expectedHash: fileHash(Buffer.from("old")),
      bytes: Buffer.from("new"),
      mode: 0o600,
    });
    const stat = statSync(at("replaced/f"));
    assert.equal(stat.mode & 0o777, 0o640);
    if (chown) assert.deepEqual([stat.uid, stat.gid], [12345, 23456]);
    assert.deepEqual(await host.listFiles(at("replaced")), ["f"]);
  });

  it("directories are made for their owner alone, with those above", async () => {
    await host.makeDirectory(at("x/y"));
    assert.equal(statSync(at("x/y")).mode & 0o777, 0o700);
    await host.makeDirectory(at("x/y"));
  });

  it("errors name host, path and reason", async () => {
    await assert.rejects(host.rename(at("none"), at("c")), /cp1: cannot replace .*\/c: ENOENT/);
    await assert.rejects(host.syncDirectory(at("a")), /cp1: cannot sync .*\/a: ENOTDIR/);
    await assert.rejects(host.dialSocket(at("none"), soon()), /cp1: cannot connect to .*\/none: ENOENT/);
  });

  it("a unix socket can be dialled", async () => {
    const server = createServer((socket) => socket.end("hello")).listen(at("s"));
    await new Promise((resolve) => server.once("listening", resolve));
    const connection = await host.dialSocket(at("s"), soon());
    const chunks: Buffer[] = [];
    for await (const chunk of connection) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), "hello");
    await new Promise((resolve) => server.close(resolve));
  });

  it("a signal that is aborted already => no connection is made, which nobody would close", async () => {
    let connections = 0;
    const server = createServer(() => (connections += 1)).listen(at("late"));
    await new Promise((resolve) => server.once("listening", resolve));
    await assert.rejects(host.dialSocket(at("late"), AbortSignal.abort()), /cp1: no connection to .*\/late in time/);
    // One that was made before would be accepted before this one.
    (await host.dialSocket(at("late"), soon())).destroy();
    await new Promise((resolve) => server.close(resolve));
    assert.equal(connections, 1);
  });
});
