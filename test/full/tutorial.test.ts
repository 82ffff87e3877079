import assert from "node:assert/strict";
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory } from "../../tools/cache-directory";
import { repository, snippets } from "../docs/markdown";
import { eventually } from "../e2e/support/eventually";
import { documentCommands, type Terminal, terminal } from "./support/terminal";

const document = "docs/tutorial.md";
/** What a clone does not have. */
const notCloned = new Set([".git", ".kms-etcd", "api", "coverage", "dist", "node_modules"]);
/** Who mends the document wants what was seen: `KMS_ETCD_TUTORIAL_RECORD=FILE` gets all of it. */
const record = process.env["KMS_ETCD_TUTORIAL_RECORD"];

/**
 * From `npm start` to `npm run stop`, in a checkout and a home of its own. Only what is the machine's is shared: installed npm
 * packages and the cache of programs.
 */
describe("the tutorial, command by command, in a fresh checkout", function () {
  this.timeout(90 * 60_000);
  this.bail(true);
  let directory: string;
  let checkout: string;
  let shell: Terminal;
  let exported = "";
  const commands = documentCommands(document).map(({ text }) => text);
  const [start = "", raise = "", goBack = "", look = "", stop = "", ...others] = commands;

  before(() => {
    assert.deepEqual(others, [], "a block that this test does not know of");
    directory = mkdtempSync(join(tmpdir(), "kms-etcd-tutorial-"));
    checkout = join(directory, "pulumi-kms-etcd");
    mkdirSync(checkout);
    for (const name of readdirSync(repository)) {
      if (notCloned.has(name) || /^Pulumi\..+\.yaml$/.test(name)) continue;
      cpSync(join(repository, name), join(checkout, name), { recursive: true });
    }
    symlinkSync(join(repository, "node_modules"), join(checkout, "node_modules"));
    const home = join(directory, "home");
    mkdirSync(home);
    shell = terminal(checkout, {
      HOME: home,
      KMS_ETCD_CACHE: cacheDirectory(),
      PULUMI_HOME: undefined,
      PULUMI_BACKEND_URL: undefined,
      PULUMI_CONFIG_PASSPHRASE: undefined,
      PULUMI_SKIP_CONFIRMATIONS: "true",
    });
  });
  after(async function () {
    // Where a test has failed, nobody has stopped what npm start leaves up.
    await shell.run(stop);
    rmSync(directory, { recursive: true, force: true });
  });

  const succeed = async (text: string): Promise<string> => {
    const said = await shell.succeed(exported + text);
    if (record !== undefined) appendFileSync(record, `\n$ ${text}\n${said}`);
    return said;
  };

  it("npm start => what the document shows of it, in that order; keys 1 and 2, nothing failed, and an export line at its end", async () => {
    const said = await succeed(start);
    const shown = snippets(document, "console").flatMap(({ text }) => text.trimEnd().split("\n"));
    assert.ok(shown.length >= 15);
    assertInOrder(said, shown);
    assert.match(said, /~ keyVersion: 1 => 2/);
    const line = /^ *(export PATH=.*)$/m.exec(said)?.[1] ?? assert.fail(said.slice(-3_000));
    exported = `${line}\n`;
  });

  it("your turn, with ^C in the middle, and then a kill and pulumi cancel => the last pulumi up gets there", async () => {
    const lines = raise.trimEnd().split("\n");
    assert.equal(lines.at(-1), "pulumi up");
    const preview = await succeed(lines.slice(0, -1).join("\n"));
    assert.match(preview, /~ activeKeyVersion: 2 => 3/);

    const first = shell.start(`${exported}exec pulumi up`);
    await eventually("Read has begun", 300, () => first.said().includes("[2/6] Read") || first.child.exitCode !== null);
    process.kill(-(first.child.pid ?? assert.fail("no process")), "SIGINT");
    const interrupted = await first.ended;
    assert.notEqual(interrupted.code, 0, interrupted.output);
    assert.doesNotMatch(interrupted.output, /\[6\/6\] Prune done/);

    const second = shell.start(`${exported}exec pulumi up`);
    await eventually("it goes on", 300, () => /\[[2-6]\/6\]/.test(second.said()) || second.child.exitCode !== null);
    assert.equal(second.child.exitCode, null, second.said());
    second.child.kill("SIGKILL");
    await second.ended;
    await succeed("pulumi cancel");
    await succeed("pulumi up");
    assert.equal((await succeed("pulumi stack output activeKeyVersion")).trim(), "3");
  });

  it("a change of mind => back at the key before", async () => {
    await succeed(goBack);
    assert.equal((await succeed("pulumi stack output activeKeyVersion")).trim(), "2");
  });

  it("looking from outside => three servers, and every Secret under key version 2", async () => {
    const said = await succeed(look);
    for (const server of ["cp1", "cp2", "cp3"]) assert.match(said, new RegExp(`^${server} `, "m"), said);
    assert.match(said, /\(key version 2\).* current$/m);
    assert.match(said, /^in order:/m);
  });

  it("npm run stop => no process and no file of it is left", async () => {
    await succeed(stop);
    await eventually("every process has ended", 60, async () => (await processesIn(directory)).length === 0);
    assert.deepEqual(readdirSync(join(checkout, ".kms-etcd")), []);
    assert.ok(!existsSync(join(checkout, "Pulumi.local.yaml")));
  });
});

/** Every line that a document shows is said, one after the other. What differs from run to run may differ. */
function assertInOrder(said: string, shown: readonly string[]): void {
  const lines = said.split("\n");
  let from = 0;
  for (const line of shown) {
    const pattern = patternOf(line);
    const at = lines.findIndex((text, index) => index >= from && pattern.test(text));
    assert.ok(at >= 0, `the document shows\n${line}\nand it is not there after line ${from} of\n${said}`);
    from = at + 1;
  }
}

/** Ids, times and counts differ; a zero is a promise, and so is the number of Secrets. What stands behind a provider's name is ciphertext. */
function patternOf(line: string): RegExp {
  const [head = "", cipher] = line.split(/(?<=k8s:enc:kms:v2:kms-etcd-[0-9a-f]{12}):/);
  const parts = head.split(/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<=kms-etcd-)[0-9a-f]{12}|\d+\.\d+|\d+)/);
  const text = parts.map((part, index) => (index % 2 === 0 ? part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") : kind(part)));
  return new RegExp(`^${text.join("").replace(/ {2,}/g, " +")}${cipher === undefined ? "" : ":.*"}$`);
}

function kind(token: string): string {
  if (token === "0" || token === "1000") return token;
  if (/^[0-9a-f-]{36}$/.test(token)) return "[0-9a-f-]{36}";
  if (/^[0-9a-f]{12}$/.test(token)) return "[0-9a-f]{12}";
  return token.includes(".") ? "\\d+\\.\\d+" : "\\d+";
}

/** Those that work in the folder, or have it in their command line. */
async function processesIn(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const [cwd, command] = await Promise.all([
      readlink(`/proc/${pid}/cwd`).catch(() => ""),
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
    ]);
    if (cwd.startsWith(folder) || command.includes(folder)) found.push(`${pid} ${command.replaceAll("\0", " ")}`);
  }
  return found;
}
