/** What other people's programs say of their own commands and options, and what of a document's command lines they do not know. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findTool } from "../../../tools/find-tool";
import type { ToolName } from "../../../tools/tool";
import type { CommandLine } from "../../docs/command-lines";

const run = promisify(execFile);

/** Throws where there is no such command. */
export type HelpOf = (path: readonly string[]) => Promise<string>;

/**
 * Of programs made with Go's cobra. Asked for the help of what they do not know, they print that of the command before it: the line of how it
 * is used tells which one that is, and whether more words may follow.
 */
export function helpOfCobra(tool: ToolName): HelpOf {
  return async (path) => {
    const { path: program } = await findTool(tool);
    // What kubectl acts on is an argument, and its line of usage goes on in the next.
    const command = tool === "kubectl" ? path.slice(0, 2) : path;
    const { stdout } = await run(program, [...command.slice(1), "--help"]);
    const usages = [...stdout.matchAll(new RegExp(`^\\s+(${tool}(?: [a-z][a-z-]*)*)( .*)?$`, "gm"))];
    const aliases = /^Aliases:\n\s+(.*)$/m.exec(stdout)?.[1]?.split(", ") ?? [];
    const asked = command.join(" ");
    const known = usages.some(([, words = "", rest = ""]) => {
      const takesMore = /[<[A-Z]/.test(rest.replace(/\[(?:flags|command|options)\]/g, ""));
      const names = [words, ...aliases.map((alias) => words.replace(/\S+$/, alias))];
      return names.some((name) => asked === name || (takesMore && asked.startsWith(`${name} `)));
    });
    if (!known) throw new Error("there is no such command");
    return tool === "kubectl" ? stdout + (await run(program, ["options"])).stdout : stdout;
  };
}

/** `openssl COMMAND -help`. */
export const helpOfOpenssl: HelpOf = async ([program = "", command = ""]) => {
  const { stdout, stderr } = await run(program, [command, "-help"]).catch(() => {
    throw new Error("there is no such command");
  });
  return stdout + stderr;
};

/** One text for all commands. */
export const helpOfSystemctl: HelpOf = async ([program = "", command = ""]) => {
  const { stdout } = await run(program, ["--help"]);
  if (!new RegExp(`^ {2}${command}( |$)`, "m").test(stdout)) throw new Error("there is no such command");
  return stdout;
};

export async function unknownTo(helpOf: HelpOf, commands: readonly CommandLine[]): Promise<readonly string[]> {
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
