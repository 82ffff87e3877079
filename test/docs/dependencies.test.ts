import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { toolNames } from "../../tools/tool";
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
  const [running = "", rest = ""] = text.split("| development | for |");
  const [developing = "", programs = "", ofPython = ""] = rest.split(/^(?:Programs|Python packages), /m);
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
    const others = Object.keys(devDependencies).filter(
      (name) => !name.startsWith("@types/") && !(name in peerDependencies),
    );
    assert.deepEqual(reasoned(developing), others.sort());
  });

  it("programs => each that can be installed, with a reason, and the language host that one test builds", () => {
    assert.deepEqual(reasoned(programs), [...toolNames, "pulumi-language-yaml"].sort());
  });

  it("Python packages => each that a test installs, with a reason, and no other", () => {
    const installed = readdirSync(join(repository, "test"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) => {
        const source = readFileSync(join(repository, "test", file), "utf8");
        if (!/\bpythonEnvironment\b|"pip"/.test(source)) return [];
        const named = source.matchAll(/\{ name: "([\w-]+)", version: "|"install", "--quiet", "([\w-]+)==/g);
        return [...named].map(([, environment, pip = ""]) => environment ?? pip);
      });
    assert.deepEqual(reasoned(ofPython), [...new Set(installed)].sort());
  });

  it("versions => pinned exactly", () => {
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^\d+\.\d+\.\d+$/.test(version),
    );
    assert.deepEqual(loose, []);
  });
});
