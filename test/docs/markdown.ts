/** The fenced blocks of the project's documents. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const repository = join(__dirname, "..", "..");

export interface Snippet {
  /** `docs/cli.md:17`, the line of the fence. */
  readonly at: string;
  readonly language: string;
  readonly text: string;
}

/** Markdown files that people read, relative to the repository. */
export function documents(): readonly string[] {
  return [".", "docs", "docs/adr", "docs/runbooks", ...examples()].flatMap((folder) =>
    readdirSync(join(repository, folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => relative(repository, join(repository, folder, name))),
  );
}

export function snippets(document: string, ...languages: readonly string[]): readonly Snippet[] {
  const text = readFileSync(join(repository, document), "utf8");
  return [...text.matchAll(/^( *)```(\w+)\n(.*?)^\1```$/gms)]
    .map((match) => ({
      at: `${document}:${text.slice(0, match.index).split("\n").length}`,
      language: match[2] ?? "",
      text: match[3] ?? "",
    }))
    .filter(({ language }) => languages.includes(language));
}

function examples(): readonly string[] {
  return readdirSync(join(repository, "examples")).map((name) => join("examples", name));
}
