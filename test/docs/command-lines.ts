/** The command lines of the project's documents, in their blocks and in their running text. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { documents, repository, snippets } from "./markdown";

export interface CommandLine {
  readonly at: string;
  /** Without comment, redirection, and variables before it. */
  readonly text: string;
  /** The program, and the words before the first option or argument. */
  readonly path: readonly string[];
  /** `--yes`, `-f`: without values. */
  readonly options: readonly string[];
}

/** Every line of every block. */
export function blockCommands(document: string): readonly CommandLine[] {
  return snippets(document, "sh", "console").flatMap(({ at, language, text }) =>
    text
      .replaceAll("\\\n", " ")
      .split("\n")
      .flatMap((line) => (language === "sh" ? [line] : line.startsWith("$ ") ? [line.slice(2)] : []))
      .flatMap((line) => commandsOf(line, at)),
  );
}

/** What stands between backticks and begins with one of the programs. */
export function inlineCommands(document: string, programs: readonly string[]): readonly CommandLine[] {
  return commandsIn(readFileSync(join(repository, document), "utf8"), document, programs);
}

export function commandsIn(text: string, at: string, programs: readonly string[]): readonly CommandLine[] {
  const prose = text.replace(/^( *)```\w*\n.*?^\1```$/gms, "");
  // One after the other: what stands between two of them begins and ends with a backtick too. A name alone is no command line.
  return [...prose.matchAll(/`([^`]+)`/g)]
    .map(([, line = ""]) => line.replaceAll("\n", " "))
    .filter((line) => line.includes(" "))
    .flatMap((line) => commandsOf(line, at))
    .filter(({ path }) => programs.includes(path[0] ?? ""));
}

/** All that the documents say of these programs. */
export function commandsOfPrograms(programs: readonly string[]): readonly CommandLine[] {
  return documents().flatMap((document) => [
    ...blockCommands(document).filter(({ path }) => programs.includes(path[0] ?? "")),
    ...inlineCommands(document, programs),
  ]);
}

function commandsOf(line: string, at: string): readonly CommandLine[] {
  return line
    .replace(/(^|\s)#.*$/, "")
    .split(/&&|\|\||[;|]/)
    .map((part) =>
      part
        .trim()
        .replace(/^\(|\)$/g, "")
        .replace(/\s*>.*$/, ""),
    )
    .map((part) => part.replace(/^(?:[A-Z][A-Z0-9_]*=\S+\s+)+/, "").replace(/^npx /, ""))
    .filter((text) => text !== "")
    .map((text) => {
      // Options before the command are for all commands of the program.
      const command = text.replace(/^(\S+)((?: +--[\w-]+ +\S+)+) +(?=[a-z])/, "$1 ");
      const words = command.split(/\s+/);
      const end = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word));
      return {
        at,
        text,
        path: end < 0 ? words : words.slice(0, end),
        options: text.split(/\s+/).flatMap((word) => /^--?[a-z][\w-]*/i.exec(word) ?? []),
      };
    });
}
