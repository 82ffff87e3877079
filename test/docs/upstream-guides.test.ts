import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./markdown";

const page = "docs/upstream-guides.md";

/** The tests that a page names: `` `test/file.test.ts` "name", "another" ``. */
function namedIn(text: string): readonly { readonly file: string; readonly name: string }[] {
  return [...text.matchAll(/`(test\/[\w./-]+\.test\.ts)`((?:,? "[^"]+")+)/g)].flatMap(([, file = "", names = ""]) =>
    [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
  );
}

/** As the source has them, up to the first `=>`. */
function testsOf(source: string): readonly string[] {
  return [...source.matchAll(/\bit\(\s*(?:"([^"\n]+)"|`([^`\n]+)`)/g)].map(([, text, template]) =>
    (text ?? template ?? "").replace(/ => .*/, ""),
  );
}

function missing(text: string): readonly string[] {
  return namedIn(text)
    .filter(({ file, name }) => {
      const at = join(repository, file);
      return !existsSync(at) || !testsOf(readFileSync(at, "utf8")).includes(name);
    })
    .map(({ file, name }) => `${file} "${name}"`);
}

describe("the upstream guides, step by step", () => {
  const text = readFileSync(join(repository, page), "utf8");
  const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| step"));

  it("every test that the page names => is in that file, under that name", () => {
    assert.ok(namedIn(text).length > rows.length);
    assert.deepEqual(missing(text), []);
  });

  it("every step => has a test, but for the one that is never done", () => {
    const without = rows.filter((row) => namedIn(row).length === 0);
    assert.deepEqual(
      without.map((row) => row.split("|").at(-2)?.trim()),
      ["none"],
    );
  });

  it("a file or a name that there is not => noticed", () => {
    const there = '`test/docs/upstream-guides.test.ts` "a file or a name that there is not"';
    assert.deepEqual(missing(there), []);
    assert.deepEqual(missing(there.replace("a file or", "no file and")), [
      there.replace("a file or", "no file and").replaceAll("`", ""),
    ]);
    assert.equal(missing('`test/docs/gone.test.ts` "x", "y"').length, 2);
  });
});
