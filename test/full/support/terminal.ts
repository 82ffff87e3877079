/** A terminal in which somebody follows a document: bash runs its commands as they stand there, block after block. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { snippets } from "../../docs/markdown";

export interface CommandRun {
  readonly code: number | null;
  /** Standard output and error together, as a person sees them. */
  readonly output: string;
}

export interface StartedCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandRun>;
  /** What it has said so far. */
  said(): string;
}

export interface Terminal {
  /** In a process group of its own: for what ^C is pressed in. */
  start(text: string): StartedCommand;
  run(text: string): Promise<CommandRun>;
  /** Fails with what it said, unless it ends with 0. */
  succeed(text: string): Promise<string>;
  /** Runs the blocks of a document in order, and what `console` blocks show behind a prompt. Returns all that was said. */
  follow(document: string, choices?: FollowChoices): Promise<string>;
}

export interface FollowChoices {
  /** Told of each block before it is run. */
  readonly before?: (text: string) => void | Promise<void>;
  /** How a block must end. @default with 0 */
  readonly ending?: (text: string) => number;
}

/** @param environment beside that of this process; undefined takes a variable away. */
export function terminal(directory: string, environment: Readonly<Record<string, string | undefined>>): Terminal {
  function start(text: string): StartedCommand {
    const child = spawn("bash", ["-euo", "pipefail", "-c", text], {
      cwd: directory,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += String(chunk)));
    // `exit`, not `close`: what outlives a command holds its pipes open.
    const ended = new Promise<CommandRun>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => setImmediate(() => resolve({ code, output })));
    });
    return { child, ended, said: () => output };
  }

  const run: Terminal["run"] = (text) => start(text).ended;
  async function endWith(wanted: number, text: string, at: string): Promise<string> {
    const { code, output } = await run(text);
    assert.equal(code, wanted, `${at} ended with ${code}:\n${text}\n${output.slice(-20_000)}`);
    return output;
  }

  return {
    start,
    run,
    succeed: (text) => endWith(0, text, "the command"),
    async follow(document, { before, ending = () => 0 } = {}) {
      const blocks = documentCommands(document);
      assert.ok(blocks.length > 0, `${document} has no commands`);
      let said = "";
      for (const { at, text } of blocks) {
        await before?.(text);
        said += await endWith(ending(text), text, at);
      }
      return said;
    },
  };
}

/** What a document tells its reader to type: `sh` blocks, and the lines behind `$ ` in the `console` blocks. */
export function documentCommands(document: string): readonly { readonly at: string; readonly text: string }[] {
  return snippets(document, "sh", "console").flatMap(({ at, language, text }) => {
    if (language === "sh") return [{ at, text }];
    const typed = text.split("\n").flatMap((line) => (line.startsWith("$ ") ? [line.slice(2)] : []));
    return typed.length === 0 ? [] : [{ at, text: typed.join("\n") }];
  });
}
