import assert from "node:assert/strict";
import { Duplex, PassThrough } from "node:stream";
import type { Host } from "../../../../rotation/adapters/hosts/host";
import { askPlugin } from "../../../../rotation/adapters/hosts/kms-socket";
import { dialThroughSudo } from "../../../../rotation/adapters/hosts/ssh-socket";
import type { SshSession } from "../../../../rotation/adapters/ssh/ssh-session";
import { memoryDisk, memoryHost } from "./memory-host";

describe("a socket of root's that sudo is to reach", () => {
  /** A host on which the command says this on its standard error, and ends. */
  function hostThatSays(words: string, commands: string[] = []): Host {
    const start = async (command: string) => {
      commands.push(command);
      const stderr = new PassThrough();
      const channel = Object.assign(new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() }), { stderr });
      channel.on("error", () => undefined);
      setImmediate(() => {
        // In pieces, as sudo does.
        stderr.write(words.slice(0, 4));
        setImmediate(() => {
          stderr.write(words.slice(4));
          setImmediate(() => channel.push(null));
        });
      });
      return channel;
    };
    const client = { start, run: async () => ({ code: 0, stdout: "socat\n", stderr: "" }) };
    const session = { name: "cp1", sudo: true, ssh: async () => client } as unknown as SshSession;
    return { ...memoryHost(memoryDisk()), dialSocket: (path) => dialThroughSudo(session, path) };
  }
  const problem = async (host: Host) =>
    (await askPlugin(host, "/opt/azurekms.socket", "v1", AbortSignal.timeout(4_000))).problem ?? "";

  it("sudo refuses => its words, and where the line for sudoers is", async () => {
    const commands: string[] = [];
    assert.equal(
      await problem(hostThatSays("sudo: a password is required\n", commands)),
      "cp1: /opt/azurekms.socket: sudo: a password is required; docs/self-managed.md has the line for sudoers",
    );
    assert.deepEqual(commands, ["sudo -n socat - UNIX-CONNECT:/opt/azurekms.socket"]);
    assert.match(
      await problem(hostThatSays("Sorry, user kms-etcd is not allowed to execute\n")),
      /Sorry, user kms-etcd/,
    );
  });

  it("nobody listens => the same text at each look, without socat's process id", async () => {
    const said = 'socat[4711] E connect(5, AF=1 "/opt/azurekms.socket", 22): Connection refused\n';
    assert.match(await problem(hostThatSays(`2026/11/22 04:00:00 ${said}`)), /^cp1: [^[]*without an answer$/);
  });
});
