import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./markdown";

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
}

describe("docs/dependencies.md", () => {
  const { dependencies, devDependencies, peerDependencies } = JSON.parse(
    readFileSync(join(repository, "package.json"), "utf8"),
  ) as Manifest;
  const text = readFileSync(join(repository, "docs", "dependencies.md"), "utf8");
  const [running = "", developing = ""] = text.split("| development | for |");
  /** The packages in the first column, with a reason behind them. */
  const reasoned = (table: string) =>
    table
      .split("\n")
      .filter((row) => /^\|[^|]+\|\s*\S/.test(row))
      .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name))
      .sort();

  it("what runs at users => each dependency and peer, with a reason, and no other", () => {
    assert.deepEqual(reasoned(running), [...Object.keys({ ...dependencies, ...peerDependencies })].sort());
  });

  it("what develops and tests => each of the rest, with a reason, but for types, and no other", () => {
    const rest = Object.keys(devDependencies).filter(
      (name) => !name.startsWith("@types/") && !(name in peerDependencies),
    );
    assert.deepEqual(reasoned(developing), rest.sort());
  });

  it("versions => pinned exactly", () => {
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    assert.deepEqual(loose, []);
  });
});
