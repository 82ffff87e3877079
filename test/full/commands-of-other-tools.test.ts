import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { reservePorts } from "../../control-plane/ports/port-reservations";
import { openEnvelope, readPublicKey, sealPayload } from "../../rotation/report/envelope";
import { readSigningKeyFile } from "../../rotation/report/signing-key-file";
import { commandsIn, commandsOfPrograms } from "../docs/command-lines";
import { documents, snippets } from "../docs/markdown";
import { pythonEnvironment } from "../support/python-environment";
import { skipFor } from "../support/skip-for";
import { startSshServer, whyNoSshServer } from "../support/ssh-server";
import { type HelpOf, helpOfCobra, helpOfOpenssl, helpOfSystemctl, unknownTo } from "./support/help-of";
import { terminal } from "./support/terminal";

const run = promisify(execFile);

/**
 * Commands of clouds, clusters and machines that the documents tell people to type. Where nothing here can run them for real, each tool's
 * own parser says whether there is such a command with such options. What is in no tool's hands here: test/docs/programs-in-blocks.test.ts.
 */
describe("commands of other tools in the documents", function () {
  this.timeout(20 * 60_000);
  const of = (tool: string) => {
    const found = commandsOfPrograms([tool]);
    assert.ok(found.length > 0, `no document names ${tool}`);
    return found;
  };

  for (const tool of ["kops", "kubectl", "kubeadm", "etcdctl", "etcdutl", "pulumi"] as const) {
    it(`${tool}: its help has each of them, with the options`, async () => {
      assert.deepEqual(await unknownTo(helpOfCobra(tool), of(tool)), []);
    });
  }

  it("az: its help has each of them, with the options", async function () {
    const bin = await pythonEnvironment({ name: "azure-cli", version: "2.91.0" });
    if (bin === undefined) return this.skip();
    const help: HelpOf = async (path) => (await run(join(bin, "az"), [...path.slice(1), "--help"])).stdout;
    assert.deepEqual(await unknownTo(help, of("az")), []);
  });

  it("aws: its parser takes each of them", async function () {
    const bin = await pythonEnvironment({ name: "awscli", version: "1.46.3" });
    if (bin === undefined) return this.skip();
    for (const { at, text } of of("aws")) {
      const words = [...text.split(/\s+/).slice(1), "--generate-cli-skeleton", "input"];
      await assert.doesNotReject(run(join(bin, "aws"), words), `${at}: ${text}`);
    }
  });

  it("systemctl: its help has each of them", async function () {
    skipFor(missing("systemctl", "--version"), this);
    assert.deepEqual(await unknownTo(helpOfSystemctl, of("systemctl")), []);
  });

  it("openssl: its help has each of them, and the block that makes a key for signatures makes one that signs a report", async function () {
    skipFor(missing("openssl", "version"), this);
    assert.deepEqual(await unknownTo(helpOfOpenssl, of("openssl")), []);
    const [block, ...others] = documents().flatMap((document) =>
      snippets(document, "sh").filter(({ text }) => text.includes("openssl ")),
    );
    assert.deepEqual(others, [], "a block of openssl that nothing runs");
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-openssl-"));
    try {
      await terminal(directory, {}).succeed(block?.text ?? "");
      assert.equal(statSync(join(directory, "sign.pem")).mode & 0o777, 0o600);
      const envelope = sealPayload('{"a":1}', await readSigningKeyFile(join(directory, "sign.pem")));
      const publicKey = readPublicKey(readFileSync(join(directory, "sign.pub"), "utf8"), "sign.pub");
      assert.equal(openEnvelope(JSON.stringify(envelope), publicKey, "here").problem, undefined);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("ssh-keyscan: run on a server here in the place of the hosts, each gives the lines that knownHosts takes", async function () {
    skipFor(whyNoSshServer(), this);
    const lines = [...new Set(of("ssh-keyscan").map(({ text }) => text))];
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-keyscan-"));
    const [port = 0] = await reservePorts(directory, [undefined]);
    const server = await startSshServer({ directory: join(directory, "host"), port });
    try {
      for (const line of lines) {
        assert.match(line, /^ssh-keyscan( \d+\.\d+\.\d+\.\d+)+$/);
        const here = line.replace(/ \d.*$/, ` -p ${server.port} 127.0.0.1`);
        const said = await terminal(directory, {}).succeed(`${here} 2>/dev/null`);
        assert.equal(said, server.knownHosts);
      }
    } finally {
      await server.stop();
      rmSync(directory, { recursive: true });
    }
  });

  it("a command or an option that does not exist => told", async () => {
    const wrong = commandsIn("`kops update clusters --yes`, `kops update cluster --now`", "a.md", ["kops"]);
    assert.deepEqual(await unknownTo(helpOfCobra("kops"), wrong), [
      "a.md: kops update clusters --yes: there is no such command",
      "a.md: kops update cluster --now: there is no --now",
    ]);
    const others = commandsIn("`pulumi config put a b`, `etcdctl --cacerts FILE get /a`", "a.md", [
      "pulumi",
      "etcdctl",
    ]);
    assert.deepEqual(
      [
        ...(await unknownTo(helpOfCobra("pulumi"), others.slice(0, 1))),
        ...(await unknownTo(helpOfCobra("etcdctl"), others.slice(1))),
      ],
      [
        "a.md: pulumi config put a b: there is no such command",
        "a.md: etcdctl --cacerts FILE get /a: there is no --cacerts",
      ],
    );
  });
});

/** The reason why the program is not on this machine. */
function missing(program: string, argument: string): string | undefined {
  return spawnSync(program, [argument]).error === undefined ? undefined : `${program} is not on this machine`;
}
