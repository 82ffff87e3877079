import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findTool } from "../../tools/find-tool";
import { documents, snippets } from "../docs/markdown";

const run = promisify(execFile);

/** What the documents tell people to type, held against the CLI itself. The runbooks' commands are also run: test/full/runbooks.test.ts. */
describe("the commands of Pulumi in the documents", function () {
  this.timeout(300_000);

  it("every one => known to the real CLI, with each of its options", async () => {
    const { path } = await findTool("pulumi");
    const helps = new Map<string, string>();
    const wrong: string[] = [];
    let seen = 0;
    for (const { at, line } of lines()) {
      const words = line.split(/\s+/);
      const options = words.filter((word) => word.startsWith("--") && word !== "--").map((word) => word.split("=")[0]);
      // `config set`, `stack output`: as many words as are commands.
      const named = words.slice(0, 3).filter((word) => /^[a-z-]+$/.test(word) && !word.startsWith("-"));
      let help: string | undefined;
      for (let length = named.length; length > 0 && help === undefined; length -= 1) {
        const command = named.slice(0, length).join(" ");
        help = await helpOf(path, command, helps);
      }
      seen += 1;
      if (help === undefined) wrong.push(`${at}: pulumi ${line}`);
      else
        wrong.push(
          ...options.filter((option = "") => !help.includes(option)).map((option) => `${at}: ${line}: ${option}`),
        );
    }
    assert.ok(seen >= 50);
    assert.deepEqual(wrong, []);
  });
});

function lines(): readonly { readonly at: string; readonly line: string }[] {
  return documents().flatMap((document) =>
    snippets(document, "sh", "console").flatMap(({ at, text }) =>
      text
        .replaceAll("\\\n", " ")
        .split(/\n|&&|;/)
        .map((line) => /^\s*(?:\$ )?pulumi ([^#>|]+)/.exec(line)?.[1]?.trim())
        .filter((line) => line !== undefined)
        .map((line) => ({ at, line })),
    ),
  );
}

/** Undefined for what is no command: the CLI then shows the help of what stands before it. */
async function helpOf(cli: string, command: string, known: Map<string, string>): Promise<string | undefined> {
  if (!known.has(command)) {
    const env = { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "1" };
    const { stdout } = await run(cli, [...command.split(" "), "--help", "--color", "never"], { env }).catch(() => ({
      stdout: "",
    }));
    known.set(command, stdout);
  }
  const help = known.get(command) ?? "";
  return new RegExp(`^ +pulumi ${command}( |$)`, "m").test(help) ? help : undefined;
}
