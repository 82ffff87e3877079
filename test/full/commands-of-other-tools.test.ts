import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { findTool } from "../../tools/find-tool";
import { documents, repository, snippets } from "../docs/markdown";
import { pythonEnvironment } from "../support/python-environment";

const run = promisify(execFile);

interface NamedCommand {
  readonly at: string;
  readonly text: string;
  /** The words before the first option or argument. */
  readonly path: readonly string[];
  /** `--yes`, `-f`: without values. */
  readonly options: readonly string[];
}

/**
 * Commands of clouds and clusters that the documents tell people to type. Nothing here can run them for real, so each tool's own
 * parser says whether there is such a command with such options.
 */
describe("commands of other tools in the documents", function () {
  this.timeout(20 * 60_000);
  const commands = documents().flatMap(namedCommands);
  const of = (tool: string) => {
    const found = commands.filter(({ path }) => path[0] === tool);
    assert.ok(found.length > 0, `no document names ${tool}`);
    return found;
  };

  for (const tool of ["kops", "kubectl"] as const) {
    it(`${tool}: its help has each of them, with the options`, async () => {
      assert.deepEqual(await unknownTo(helpOfCobra(tool), of(tool)), []);
    });
  }

  it("az: its help has each of them, with the options", async function () {
    const bin = await pythonEnvironment({ name: "azure-cli", version: "2.91.0" });
    if (bin === undefined) return this.skip();
    const help = async (path: readonly string[]) => (await run(join(bin, "az"), [...path.slice(1), "--help"])).stdout;
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

  it("a command or an option that does not exist => told", async () => {
    const wrong = namedIn("`kops update clusters --yes`, `kops update cluster --now`", "a.md");
    assert.deepEqual(await unknownTo(helpOfCobra("kops"), wrong), [
      "a.md: kops update clusters --yes: there is no such command",
      "a.md: kops update cluster --now: there is no --now",
    ]);
  });
});

type HelpOf = (path: readonly string[]) => Promise<string>;

/** Of programs made with Go's cobra. Asked for the help of what they do not know, they print that of the command before it. */
function helpOfCobra(tool: "kops" | "kubectl"): HelpOf {
  return async (path) => {
    const { path: program } = await findTool(tool);
    // What kubectl acts on is an argument, and no command.
    const command = tool === "kubectl" ? path.slice(0, 2) : path;
    const { stdout } = await run(program, [...command.slice(1), "--help"]);
    if (!new RegExp(`^  ${command.join(" ")}( |$)`, "m").test(stdout)) throw new Error("there is no such command");
    return tool === "kubectl" ? stdout + (await run(program, ["options"])).stdout : stdout;
  };
}

async function unknownTo(helpOf: HelpOf, commands: readonly NamedCommand[]): Promise<readonly string[]> {
  const unknown: string[] = [];
  const helps = new Map<string, Promise<string>>();
  for (const { at, text, path, options } of commands) {
    try {
      const asked = helps.get(path.join(" ")) ?? helpOf(path);
      helps.set(path.join(" "), asked);
      const help = await asked;
      const missing = options.filter((option) => !new RegExp(`(^|[\\s,])${option}(?=[\\s,=:]|$)`, "m").test(help));
      unknown.push(...missing.map((option) => `${at}: ${text}: there is no ${option}`));
    } catch (thrown) {
      unknown.push(`${at}: ${text}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }
  return unknown;
}

function namedCommands(document: string): readonly NamedCommand[] {
  const fenced = snippets(document, "sh", "console").flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"));
  const inline = readFileSync(join(repository, document), "utf8");
  return namedIn([inline, ...fenced.map((line) => `\`${line.replace(/^\$ /, "")}\``)].join("\n"), document);
}

function namedIn(text: string, at: string): readonly NamedCommand[] {
  return [...text.matchAll(/`((?:az|aws|kops|kubectl) [^`|>#\\]*)/g)].flatMap(([, found = ""]) => {
    const words = found.trim().split(/\s+/);
    const end = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word));
    const path = end < 0 ? words : words.slice(0, end);
    const options = words.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.replace(/=.*/, ""));
    return [{ at, text: found.trim(), path, options }];
  });
}
