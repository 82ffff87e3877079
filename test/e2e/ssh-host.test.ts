import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "../../control-plane/ports/port-reservations";
import { KmsEtcdError } from "../../core/errors";
import { fileHash } from "../../rotation/adapters/hosts/file-hash";
import type { Host } from "../../rotation/adapters/hosts/host";
import { withHostLock } from "../../rotation/adapters/hosts/host-lock";
import { replaceFile } from "../../rotation/adapters/hosts/replace-file";
import { sshHost } from "../../rotation/adapters/hosts/ssh-host";
import { type SudoSettings, sshSession } from "../../rotation/adapters/ssh/ssh-session";
import type { SshTarget } from "../../rotation/adapters/ssh/ssh-target";
import { haveProgram } from "../full/support/debian-program";
import { cuttableWay } from "../support/cuttable-way";
import { skipFor } from "../support/skip-for";
import { type SshServer, startSshServer, whyNoSshServer } from "../support/ssh-server";

describe("a host over a real OpenSSH server", function () {
  this.timeout(120_000);
  let directory: string;
  let server: SshServer;
  const open: Host[] = [];
  const at = (name: string) => join(directory, name);
  const soon = () => AbortSignal.timeout(10_000);

  before(async function () {
    skipFor(whyNoSshServer(), this);
    directory = mkdtempSync(join(tmpdir(), "ks-"));
    closing.push(async () => rmSync(directory, { recursive: true }));
    const [port = 0] = await reservePorts(directory, [undefined]);
    server = await startSshServer({ directory: at("sshd"), port, hostKeyTypes: ["ed25519", "rsa"], sudo: "works" });
    closing.push(() => server.stop());
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
  });
  const closing: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  function target(more: Partial<SshTarget> = {}): SshTarget {
    const { port, user, privateKey, knownHosts } = server;
    return { name: "cp1", address: "127.0.0.1", port, user, privateKey, knownHosts, ...more };
  }

  function connect(more: Partial<SshTarget> = {}, sudo?: SudoSettings): Host {
    const host = sshHost(sshSession(target(more), sudo));
    open.push(host);
    return host;
  }

  const fails = (work: Promise<unknown>, code: string, ...patterns: readonly RegExp[]) =>
    assert.rejects(work, (error: KmsEtcdError) => {
      assert.equal(error.code, code, error.message);
      for (const pattern of patterns) assert.match(`${error.message}; ${error.remedy ?? ""}`, pattern);
      assert.match(error.message, /^cp1: /);
      return true;
    });

  for (const [how, sudo] of [
    ["as itself", undefined],
    ["through sudo", {}],
  ] as const) {
    it(`${how}: files are made, read, listed, replaced and removed as on a local disk`, async () => {
      const host = connect({}, sudo);
      const folder = at(`files-${how.replace(/\W/g, "")}`);
      await host.makeDirectory(join(folder, "deep"));
      assert.equal(statSync(folder).mode & 0o777, 0o700);
      const content = Buffer.alloc(100_000, "text\n");
      const begun = Date.now();
      await host.createFile(join(folder, "a"), content, 0o640);
      const file = await host.readFile(join(folder, "a"));
      assert.ok(file);
      assert.ok(file.bytes.equals(content));
      assert.equal(file.mode, 0o640);
      assert.deepEqual(file.owner, { uid: process.geteuid?.(), gid: process.getegid?.() });
      assert.ok(file.modifiedAt >= begun && file.modifiedAt <= Date.now() + 2_000);
      utimesSync(join(folder, "a"), 1_000_000, 1_000_000);
      assert.ok(((await host.changedAt?.(join(folder, "a"))) ?? 0) >= begun, "a copy that keeps times is no older");
      await fails(host.createFile(join(folder, "a"), Buffer.from("mine"), 0o600), "conflict", /EEXIST/);
      symlinkSync(join(folder, "a"), join(folder, "link"));
      assert.deepEqual(await host.listFiles(folder), ["a"]);
      assert.equal(await host.readFile(join(folder, "none")), undefined);
      assert.deepEqual(await host.listFiles(join(folder, "none")), []);
      assert.equal(await host.removeFile(join(folder, "none")), false);
      const expectedHash = fileHash(content);
      writeFileSync(join(folder, ".kms-etcd-tmp.0123"), "left by a killed engine");
      await replaceFile(host, { path: join(folder, "a"), expectedHash, bytes: Buffer.from("new"), mode: 0o600 });
      assert.equal(readFileSync(join(folder, "a"), "utf8"), "new");
      assert.equal(statSync(join(folder, "a")).mode & 0o777, 0o640);
      assert.deepEqual(await host.listFiles(folder), ["a"]);
      assert.equal(await host.removeFile(join(folder, "a")), true);
    });

    it(`${how}: a unix socket is reached`, async function () {
      if (sudo !== undefined && !(await haveProgram("socat"))) this.skip();
      const path = at("echo.sock");
      const echo: Server = createServer((socket) => socket.pipe(socket));
      await new Promise<void>((resolve) => echo.listen(path, resolve));
      try {
        const socket = await connect({}, sudo).dialSocket(path, soon());
        const answer = new Promise<string>((resolve) =>
          socket.once("data", (data: Buffer) => resolve(data.toString())),
        );
        socket.write("to and fro");
        assert.equal(await answer, "to and fro");
        socket.destroy();
        await fails(connect({}, undefined).dialSocket(at("none.sock"), soon()), "unreachable", /none\.sock/);
      } finally {
        await new Promise((resolve) => echo.close(resolve));
      }
    });
  }

  it("the host's clock is read, and it is ours", async () => {
    const host = connect();
    // The connection is there already: what is measured is no further off than half of the way to and fro.
    await host.readFile(at("sshd/sshd_config"));
    const began = Date.now();
    const ahead = (await host.clockAhead?.()) ?? Number.NaN;
    const longest = (Date.now() - began) / 2 + 50;
    assert.ok(Math.abs(ahead) <= longest, `${ahead} ms off, with ${longest} ms at the most`);
  });

  it("twenty things at once => one connection", async () => {
    const host = connect();
    const before = server.commands().length;
    await Promise.all(Array.from({ length: 20 }, () => host.readFile(at("sshd/sshd_config"))));
    assert.deepEqual(server.commands().slice(before), ["internal-sftp"]);
  });

  it("each host key type is taken, the type that is known is asked for", async () => {
    for (const key of Object.values(server.hostKeys)) {
      await connect({ knownHosts: `[127.0.0.1]:${server.port} ${key}` }).listFiles(directory);
    }
  });

  it("a changed host key => refused with both fingerprints and the remedy, and not asked again and again", async () => {
    const wrong = readFileSync(at("sshd/user.pub"), "utf8").split(" ").slice(0, 2).join(" ");
    const host = connect({ knownHosts: `[127.0.0.1]:${server.port} ${wrong}` });
    for (let times = 0; times < 3; times += 1) {
      await fails(
        host.readFile(at("x")),
        "permission-denied",
        /has changed: it is SHA256:\S+, but knownHosts has SHA256:/,
        /installed anew/,
      );
    }
  });

  it("a host that nobody knows => refused, with the line to add", async () => {
    await fails(connect({ knownHosts: "" }).readFile(at("x")), "permission-denied", /no line for \[127\.0\.0\.1\]:\d+/);
  });

  it("a user whom the host does not know => refused, with where the key belongs", async () => {
    writeFileSync(at("sshd/authorized_keys"), "");
    try {
      await fails(connect().readFile(at("x")), "permission-denied", /takes none of our keys.*authorized_keys/);
    } finally {
      writeFileSync(at("sshd/authorized_keys"), readFileSync(at("sshd/user.pub")));
    }
  });

  it("a key that is no key => refused without a part of it", async () => {
    await assert.rejects(connect({ privateKey: "something secret" }).readFile(at("x")), (error: KmsEtcdError) => {
      assert.equal(error.code, "invalid-input");
      return !error.message.includes("something");
    });
  });

  it("through a jump host, whose key is checked too", async () => {
    const jump = target({ name: "bastion" });
    await connect({ jump }).listFiles(directory);
    await assert.rejects(
      connect({ jump: { ...jump, knownHosts: "" } }).listFiles(directory),
      /^KmsEtcdError: bastion: .*no line/,
    );
  });

  it("nobody listens => unreachable, by name and address", async () => {
    const [port = 0] = await reservePorts(directory, [undefined]);
    const knownHosts = `[127.0.0.1]:${port} ${server.hostKeys["ed25519"] ?? ""}`;
    await fails(connect({ port, knownHosts }).readFile(at("x")), "unreachable", /127\.0\.0\.1\]:\d+: ECONNREFUSED/);
  });

  it("a directory that cannot be written => permission denied, with the remedy", async function () {
    if (process.geteuid?.() === 0) this.skip();
    mkdirSync(at("closed"));
    chmodSync(at("closed"), 0o500);
    await fails(connect().createFile(at("closed/f"), Buffer.from("x"), 0o600), "permission-denied", /ssh\.sudo/);
  });

  it("a disk that is full, then one that takes no writing => named as that; the file stays whole, and nothing is left beside it", async function () {
    const folder = at("small");
    mkdirSync(folder);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "pipe" });
    } catch {
      this.skip(); // mounting needs root
    }
    try {
      const path = join(folder, "encryption-config.yaml");
      writeFileSync(path, "as it was\n", { mode: 0o600 });
      const expectedHash = fileHash(readFileSync(path));
      const host = connect();
      const replace = () =>
        replaceFile(host, { path, expectedHash, bytes: Buffer.alloc(128 * 1_024, "x"), mode: 0o600 });
      await fails(replace(), "blocked", /cannot make .*small.*the disk is full/, /make room/);
      assert.equal(readFileSync(path, "utf8"), "as it was\n");
      assert.deepEqual(readdirSync(folder), ["encryption-config.yaml"]);
      execFileSync("mount", ["-o", "remount,ro", folder], { stdio: "pipe" });
      await fails(replace(), "blocked", /small.*the file system is read-only/);
      execFileSync("mount", ["-o", "remount,rw,size=1m", folder], { stdio: "pipe" });
      await replace();
      assert.equal(statSync(path).size, 128 * 1_024);
      assert.deepEqual(readdirSync(folder), ["encryption-config.yaml"]);
    } finally {
      execFileSync("umount", ["-l", folder], { stdio: "pipe" });
    }
  });

  it("cut at any moment of a replacement => the file is whole, old or new; the next one removes what was left", async () => {
    const way = await cuttableWay(server.port);
    const knownHosts = server.knownHosts.replaceAll(String(server.port), String(way.port));
    const folder = at("cut");
    mkdirSync(folder);
    let previous = "version 0";
    writeFileSync(join(folder, "f"), previous);
    try {
      let cuts = 0;
      for (let packets = 8; ; packets += 2) {
        const host = connect({ port: way.port, knownHosts });
        way.cutAfter(packets);
        const next = `version ${packets}`;
        const done = await withHostLock(host, folder, () =>
          replaceFile(host, {
            path: join(folder, "f"),
            expectedHash: fileHash(Buffer.from(previous)),
            bytes: Buffer.from(next),
            mode: 0o600,
          }),
        ).then(
          () => true,
          (thrown: unknown) => {
            assert.ok(thrown instanceof KmsEtcdError && thrown.code === "unreachable", String(thrown));
            return false;
          },
        );
        const found = readFileSync(join(folder, "f"), "utf8");
        assert.ok(found === next || (!done && found === previous), `after ${packets} packets: ${found}`);
        previous = found;
        way.cutAfter(undefined);
        await host.close();
        if (done) break;
        cuts += 1;
      }
      assert.ok(cuts > 10, `${cuts} cuts`);
      const host = connect();
      await withHostLock(host, folder, () =>
        replaceFile(host, {
          path: join(folder, "f"),
          expectedHash: fileHash(Buffer.from(previous)),
          bytes: Buffer.from("the end"),
          mode: 0o600,
        }),
      );
      const names = (await host.listFiles(folder)).filter((name) => name !== "f");
      assert.deepEqual(names, [], "no lock and no temporary file is left");
    } finally {
      await way.close();
    }
  });

  it("cut while reading => read again over a new connection", async () => {
    const way = await cuttableWay(server.port);
    try {
      const host = connect({
        port: way.port,
        knownHosts: server.knownHosts.replaceAll(String(server.port), String(way.port)),
      });
      await host.listFiles(directory);
      way.cutNow();
      assert.ok((await host.readFile(at("sshd/sshd_config")))?.bytes.length);
    } finally {
      await way.close();
    }
  });
});

describe("a host whose sudo refuses", function () {
  this.timeout(60_000);

  it("=> says so with sudo's own words and the sudoers line", async function () {
    skipFor(whyNoSshServer(), this);
    const directory = mkdtempSync(join(tmpdir(), "ks-"));
    const [port = 0] = await reservePorts(directory, [undefined]);
    const server = await startSshServer({ directory: join(directory, "sshd"), port, sudo: "refuses" });
    const { user, privateKey, knownHosts } = server;
    const session = sshSession({ name: "cp1", address: "127.0.0.1", port, user, privateKey, knownHosts }, {});
    try {
      await assert.rejects(
        sshHost(session).readFile("/etc/hostname"),
        (error: KmsEtcdError) =>
          error.code === "permission-denied" &&
          /sudo -n does not run sftp-server .*a password is required/.test(error.message) &&
          error.remedy?.includes("NOPASSWD") === true,
      );
    } finally {
      session.close();
      await server.stop();
      rmSync(directory, { recursive: true });
    }
  });
});
