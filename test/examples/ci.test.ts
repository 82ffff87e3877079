import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "yaml";
import { commentMarker } from "../../rotation/cli/preview-markdown";

const folder = join(__dirname, "..", "..", "examples", "ci");

describe("the pipelines in examples/ci", () => {
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith(".yml"))) {
    const text = readFileSync(join(folder, name), "utf8");

    it(`${name} => YAML without errors and without duplicate keys`, () => {
      const { errors, warnings } = parseDocument(text, { uniqueKeys: true });
      assert.deepEqual([...errors, ...warnings].map(String), []);
    });

    it(`${name} => makes the comment from the preview, and ends with what that said`, () => {
      assert.match(text, /pulumi preview --stack "\$\(?\w+\)?" --non-interactive --json > \S+ \|\| true/);
      assert.match(text, /npx kms-etcd plan --markdown \S+ --max-key-age \S+ > \S+ \|\| status=\$\?/);
      assert.match(text, /exit "\$/);
    });
  }

  it("a comment of an earlier run => found by the line that the command writes first", () => {
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name), "utf8");
      assert.ok(text.toLowerCase().includes(`startswith("${commentMarker}")`), name);
    }
  });
});
