import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { documentPictures } from "../../tools/pictures/document-pictures";
import { terminalPicture } from "../../tools/pictures/terminal-picture";
import { documents, repository } from "./markdown";

const folder = join(repository, "docs", "pictures");

describe("pictures in the documents", () => {
  for (const [name, svg] of documentPictures(folder)) {
    it(`${name} => what its captured source draws now (npm run pictures)`, () => {
      assert.equal(readFileSync(join(folder, name), "utf8"), svg);
    });
  }

  it("every picture that a document shows => is there", () => {
    const missing = documents().flatMap((document) => {
      const text = readFileSync(join(repository, document), "utf8");
      return [...text.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g)]
        .map(([, path = ""]) => join(repository, dirname(document), path))
        .filter((path) => !existsSync(path));
    });
    assert.deepEqual(missing, []);
  });

  it("text with the signs of XML => escaped, and a long line => cut", () => {
    const svg = terminalPicture("a & b", `+ <key>="1" & more\n${"x".repeat(1_000)}`);
    assert.ok(svg.includes("<title>a &amp; b</title>"));
    assert.ok(svg.includes(">+ &lt;key&gt;=&quot;1&quot; &amp; more</text>"));
    assert.match(svg, /x{100,150} \.\.\.<\/text>/);
    assert.doesNotMatch(svg, /x{200}/);
  });
});
