import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { documents, repository, snippets } from "./markdown";

const program = (example: string) => readFileSync(join(repository, "examples", example, "index.ts"), "utf8");

/** The program that a document's `pulumi config set` speaks to: that of its folder, of the runbooks, or the local example. */
function programOf(document: string): string {
  const [, example] = /^examples\/([\w-]+)\//.exec(document) ?? [];
  if (example !== undefined) return program(example);
  if (document.startsWith("docs/runbooks/")) return readFileSync(join(repository, "docs/runbooks/README.md"), "utf8");
  return program("local");
}

describe("settings of stacks in the documents", () => {
  const set = documents().flatMap((document) =>
    snippets(document, "sh", "console").flatMap(({ at, text }) =>
      [...text.matchAll(/pulumi config set (?:--\w+ )*([\w:]+)/g)].map(([, name = ""]) => ({ document, at, name })),
    ),
  );

  it("every pulumi config set => a setting that the program reads, or one of another package", () => {
    assert.ok(set.length >= 20);
    assert.deepEqual(
      set
        .filter(({ document, name }) => !name.includes(":") && !programOf(document).includes(`"${name}"`))
        .map(({ at, name }) => `${at}: ${name}`),
      [],
    );
  });

  it("every setting that an example cannot do without => set in its README", () => {
    const examples = readdirSync(join(repository, "examples")).filter((name) => name !== "ci");
    const unset = examples.flatMap((example) => {
      const readme = readFileSync(join(repository, "examples", example, "README.md"), "utf8");
      return [...program(example).matchAll(/\.require(?:Number|Boolean|Secret|Object)?(?:<[^(]*>)?\("(\w+)"\)/g)]
        .map(([, name = ""]) => name)
        .filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))
        .map((name) => `${example}: ${name}`);
    });
    assert.deepEqual(unset, []);
  });
});
