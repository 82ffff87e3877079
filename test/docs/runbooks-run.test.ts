import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { documents, repository, snippets } from "./markdown";

/** `sh` and `console` are typed by a test that follows the document; `ts` is compiled by programs.test.ts. */
const covered = ["sh", "console", "ts"];

describe("the runbooks", () => {
  const runbooks = documents().filter((document) => document.startsWith("docs/runbooks/"));

  it("every one with commands => followed, block by block, by a test on a real cluster", () => {
    const folder = join(repository, "test", "full");
    const tests = readdirSync(folder)
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("\n");
    const commanding = runbooks.filter((document) => snippets(document, "sh", "console").length > 0);
    assert.ok(commanding.length >= 10);
    assert.deepEqual(
      commanding.filter((document) => !tests.includes(`.follow("${document}"`)),
      [],
    );
  });

  it("every block => of a kind that a test runs or compiles", () => {
    const others = runbooks.flatMap((document) => {
      const text = readFileSync(join(repository, document), "utf8");
      const fences = [...text.matchAll(/^ *```(\w*)$/gm)].map(([, language = ""]) => language);
      // Every second one ends a block.
      return fences.filter((language, index) => index % 2 === 0 && !covered.includes(language)).map(() => document);
    });
    assert.deepEqual(others, []);
  });
});
