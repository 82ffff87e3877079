import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reservePorts } from "../../control-plane/ports/port-reservations";
import type { KmsEtcdError } from "../../core/errors";
import { fileHash } from "../../rotation/adapters/hosts/file-hash";
import type { Host } from "../../rotation/adapters/hosts/host";
import { replaceFile } from "../../rotation/adapters/hosts/replace-file";
import { sshHost } from "../../rotation/adapters/hosts/ssh-host";
import { type SudoSettings, sshSession } from "../../rotation/adapters/ssh/ssh-session";
import { repository } from "../docs/markdown";
import { skipFor } from "../support/skip-for";
import { type SshServer, startSshServer, whyNoSshServer } from "../support/ssh-server";
import { haveProgram } from "./support/debian-program";

/**
 * A user that is not root on a machine with the real sudo, and the lines of sudoers that docs/self-managed.md has. sshd runs in a mount
 * namespace with an /etc, a /run and an /opt of its own: users and sudoers of this machine stay as they are.
 */
describe("a host over SSH as a user with the real sudo", function () {
  this.timeout(300_000);
  const names = ["kms-etcd", "nobody-special"];
  let directory: string;
  let server: SshServer;
  let stranger: SshServer;
  const open: Host[] = [];
  const closing: (() => Promise<unknown>)[] = [];

  before(async function () {
    skipFor(process.geteuid?.() === 0 ? whyNoSshServer() : "it needs root", this);
    for (const program of ["sudo", "socat"])
      skipFor((await haveProgram(program)) ? undefined : `there is no ${program}`, this);
    directory = mkdtempSync(join(tmpdir(), "ks-"));
    closing.push(async () => rmSync(directory, { recursive: true, force: true }));
    chmodSync(directory, 0o711);
    layOutMachine();
    const ports = await reservePorts(directory, [undefined, undefined]);
    const behind = ["unshare", "--mount", "--propagation", "private", "sh", "-c", enter(), "sh"];
    for (const [index, user] of names.entries()) {
      const place = { directory: join(directory, user), port: ports[index] ?? 0, as: { user, behind: () => behind } };
      const started = await startSshServer(place);
      closing.push(() => started.stop());
      if (index === 0) server = started;
      else stranger = started;
    }
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((host) => host.close()));
  });
  after(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  /** The machine's own /etc with two users more, and what the documents say of sudoers. */
  function layOutMachine(): void {
    const etc = join(directory, "etc");
    cpSync("/etc", etc, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    for (const [index, user] of names.entries()) {
      const id = 64_100 + index;
      appendFileSync(join(etc, "passwd"), `${user}:x:${id}:${id}::/:/bin/sh\n`);
      appendFileSync(join(etc, "group"), `${user}:x:${id}:\n`);
      appendFileSync(join(etc, "shadow"), `${user}:*:19000:0:99999:7:::\n`);
    }
    const lines = readFileSync(join(repository, "docs", "self-managed.md"), "utf8").match(/^kms-etcd ALL=.*$/gm) ?? [];
    assert.equal(lines.length, 5, "the document's lines");
    writeFileSync(join(etc, "sudoers.d", "kms-etcd"), `${lines.join("\n")}\n`, { mode: 0o440 });
    for (const folder of ["run/sshd", "run/kms-etcd", "run/kmsplugin", "run/elsewhere", "opt"]) {
      mkdirSync(join(directory, folder), { recursive: true, mode: 0o755 });
    }
    chmodSync(join(directory, "run", "kms-etcd"), 0o700);
  }

  function enter(): string {
    const mounts = ["etc", "run", "opt"].map((name) => `mount --bind '${join(directory, name)}' /${name}`);
    return [...mounts, 'exec "$@"'].join(" && ");
  }

  function connect(to: SshServer, sudo?: SudoSettings): Host {
    const { port, user, privateKey, knownHosts } = to;
    const target = { name: "cp1", address: "127.0.0.1", port, user, privateKey, knownHosts };
    const host = sshHost(sshSession(target, sudo));
    open.push(host);
    return host;
  }

  async function echoAt(path: string, work: () => Promise<void>): Promise<void> {
    const echo: Server = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(join(directory, path), resolve));
    try {
      chmodSync(join(directory, path), 0o600);
      await work();
    } finally {
      echo.close();
    }
  }

  it("with the document's lines => root's files are read and replaced, and stay root's with their modes", async () => {
    const path = join(directory, "root-only.yaml");
    writeFileSync(path, "before", { mode: 0o600 });
    const host = connect(server, {});
    assert.equal((await host.readFile(path))?.bytes.toString(), "before");
    const expectedHash = fileHash(Buffer.from("before"));
    await replaceFile(host, { path, expectedHash, bytes: Buffer.from("after"), mode: 0o600 });
    assert.equal(readFileSync(path, "utf8"), "after");
    const { uid, mode } = statSync(path);
    assert.deepEqual([uid, mode & 0o777], [0, 0o600]);
    await host.makeDirectory(join(directory, "made"));
    const inside = join(directory, "made", "file");
    const begun = Date.now();
    await host.createFile(inside, Buffer.from("x"), 0o600);
    assert.ok(((await host.changedAt?.(inside)) ?? 0) >= begun, "in a directory of root's alone");
    assert.deepEqual(
      [statSync(join(directory, "made")).uid, statSync(join(directory, "made")).mode & 0o777],
      [0, 0o700],
    );
    assert.deepEqual(
      server.commands().filter((command) => command.startsWith("sudo")),
      ["sudo -n /usr/lib/openssh/sftp-server", `sudo -n stat -L -c %Z -- ${inside}`],
    );
  });

  async function said(path: string): Promise<string> {
    const socket = await connect(server, {}).dialSocket(path, AbortSignal.timeout(60_000));
    return new Promise((resolve) => {
      socket.once("data", (data: Buffer) => resolve(`answered ${data.toString()}`));
      socket.once("error", (error: Error) => resolve(error.message));
      socket.once("close", () => resolve("closed"));
      socket.write("to and fro");
    });
  }

  it("with the document's lines => root's sockets of the plugins and of the upstream guides are reached, and no others", async () => {
    for (const [file, path] of [
      ["run/kms-etcd/a.socket", "/run/kms-etcd/a.socket"],
      ["opt/azurekms.socket", "/opt/azurekms.socket"],
      ["run/kmsplugin/socket2.sock", "/var/run/kmsplugin/socket2.sock"],
    ] as const) {
      await echoAt(file, async () => assert.equal(await said(path), "answered to and fro", path));
    }
    for (const file of ["run/elsewhere/b.socket", "opt/other.socket"]) {
      await echoAt(file, async () => {
        assert.match(
          await said(`/${file}`),
          /^(sudo: |Sorry, user ).*; docs\/self-managed\.md has the line for sudoers$/,
        );
      });
    }
  });

  it("with the document's line for systemctl => exactly what the engine asks of systemd is allowed", async () => {
    const { port, user, privateKey, knownHosts } = server;
    const session = sshSession({ name: "cp1", address: "127.0.0.1", port, user, privateKey, knownHosts }, {});
    try {
      const allowed = async (command: string) => (await session.run(`-l ${command}`)).code === 0;
      const unit = "kms-etcd-0123456789ab.service";
      for (const command of [
        "systemctl show --property=Id,Job -- kube-apiserver.service",
        "systemctl daemon-reload",
        "systemctl reset-failed -- kube-apiserver.service",
        "systemctl restart --no-block -- kube-apiserver.service",
        `systemctl enable --now -- ${unit}`,
        `systemctl stop -- ${unit}`,
        `systemctl disable --now -- ${unit}`,
      ]) {
        assert.ok(await allowed(command), command);
      }
      for (const command of [
        "systemctl restart --no-block -- sshd.service",
        "systemctl stop -- kube-apiserver.service",
        "systemctl enable --now -- other.service",
        "systemctl poweroff",
      ]) {
        assert.ok(!(await allowed(command)), command);
      }
    } finally {
      session.close();
    }
  });

  it("a user without a line => refused in sudo's own words, with the line to write", async () => {
    const reading = connect(stranger, {}).readFile(join(directory, "root-only.yaml"));
    await assert.rejects(reading, (error: KmsEtcdError) => {
      assert.equal(error.code, "permission-denied", error.message);
      assert.match(error.message, /cp1: sudo -n does not run sftp-server for nobody-special \(sudo: /);
      assert.match(error.remedy ?? "", /nobody-special ALL=\(root\) NOPASSWD:/);
      return true;
    });
  });

  it("without sudo => what is root's alone cannot be read, and it is said so", async () => {
    const path = join(directory, "secret-of-root");
    writeFileSync(path, "x", { mode: 0o600 });
    await assert.rejects(connect(stranger).readFile(path), (error: KmsEtcdError) => {
      assert.equal(error.code, "permission-denied", error.message);
      assert.match(error.message, /^cp1: .*secret-of-root/);
      return true;
    });
  });
});
