import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./markdown";

/** Folders that hold no code of the project's. */
const without = new Set(["api", "coverage", "dist", "docs", "node_modules"]);

const codeFolders = readdirSync(repository, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith(".") && !without.has(entry.name))
  .map(({ name }) => name);

describe("the walk through the code in CONTRIBUTING.md", () => {
  const text = readFileSync(join(repository, "CONTRIBUTING.md"), "utf8");
  const rows = [...text.matchAll(/^\| (\d+) \| ([^|]+) \|/gm)].map(([, stop, opened = ""]) => ({ stop, opened }));

  it("ten stops, in order", () => {
    assert.deepEqual(
      rows.map(({ stop }) => Number(stop)),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
  });

  it("every folder with code => on the way", () => {
    const visited = rows.map(({ opened }) => opened).join(" ");
    assert.deepEqual(
      codeFolders.filter((name) => !visited.includes(`\`${name}/`)),
      [],
    );
  });

  it("every engine's decision => on the way", () => {
    const visited = rows.map(({ opened }) => opened).join(" ");
    for (const file of [
      "rotation/decide.ts",
      "rotation/adapters/kops/decide-kops.ts",
      "rotation/adapters/aks/next-leg.ts",
    ])
      assert.ok(visited.includes(`\`${file}\``), file);
  });
});

describe("the folders in docs/architecture.md", () => {
  it("every folder with code => has a row", () => {
    const text = readFileSync(join(repository, "docs", "architecture.md"), "utf8");
    const rows = [...text.matchAll(/^\| `(\w[\w-]*)\/` \|/gm)].map(([, name = ""]) => name);
    assert.deepEqual(rows.sort(), [...codeFolders].sort());
  });
});
