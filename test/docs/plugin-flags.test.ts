import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { awsFlags } from "../../plugin-server/config/aws";
import { azureFlags } from "../../plugin-server/config/azure";
import { readCommandLine } from "../../plugin-server/config/command-line";
import { localFlags } from "../../plugin-server/config/local";
import { operationFlags } from "../../plugin-server/config/operation-flags";
import { commandsOfPrograms } from "./command-lines";
import { documents, repository, snippets } from "./markdown";

const document = "docs/plugin-server.md";
/** Accepted and without effect, or for everybody: nobody has to read about them. */
const unmentioned = new Set(["configFilePath", "h"]);

describe("the plugin's flags in the documents", () => {
  const text = readFileSync(join(repository, document), "utf8");
  const common = Object.keys(operationFlags);
  const tables: readonly (readonly [heading: string, flags: Readonly<Record<string, unknown>>])[] = [
    ["`azure`:", azureFlags],
    ["`aws`:", awsFlags],
    ["`local`:", localFlags],
  ];

  for (const [heading, flags] of tables) {
    it(`${heading} => the table has its flags, and no other`, () => {
      const table = text.slice(text.indexOf(`\n${heading}\n`)).split("\n\n")[1] ?? "";
      const named = table
        .split("\n")
        .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`--?([\w-]+)`/g)].map(([, name]) => name));
      const own = Object.keys(flags).filter((name) => !common.includes(name) && !unmentioned.has(name));
      assert.deepEqual(named.sort(), own.sort());
    });
  }

  it("of every key => the table has them all", () => {
    for (const name of common) if (!unmentioned.has(name)) assert.ok(text.includes(`\`--${name}\``), name);
  });

  it("every command kms-etcd-plugin with flags => is accepted as it stands", () => {
    const commands = documents().flatMap((name) => snippets(name, "sh").flatMap((snippet) => snippet.text.split("\n")));
    const plugin = commands.flatMap((line) => /kms-etcd-plugin ((?:azure|aws|local) [^#]*)/.exec(line)?.[1] ?? []);
    assert.ok(plugin.length >= 3);
    for (const line of plugin) assert.equal(readCommandLine(line.trim().split(/\s+/)).kind, "run", line);
  });

  it("every command kms-etcd-plugin-image => its own parser takes it", () => {
    const commands = commandsOfPrograms(["kms-etcd-plugin-image"]);
    assert.ok(commands.length > 0);
    const program = ["-r", "ts-node/register/transpile-only", join(repository, "plugin-server", "image", "main.ts")];
    for (const { at, text } of commands) {
      const said = execFileSync(process.execPath, [...program, ...text.split(/\s+/).slice(1), "--help"], {
        cwd: repository,
        encoding: "utf8",
      });
      assert.match(said, /^kms-etcd-plugin-image /, at);
    }
  }).timeout(60_000);
});
