import assert from "node:assert/strict";
import {
  type ProgramRun,
  programArguments,
  programEnvironment,
} from "../../tools/pulumi-language-nodejs/program-arguments";

const run: ProgramRun = {
  engineAddress: "127.0.0.1:1",
  monitorAddress: "127.0.0.1:2",
  organization: "organization",
  project: "prog",
  rootDirectory: "/root",
  stack: "dev",
  workingDirectory: "/root/src",
  dryRun: true,
  parallel: 16,
  entryPoint: "index.js",
  arguments: ["a"],
  config: new Map([
    ["prog:word", "hi"],
    ["prog:config:word", "own"],
  ]),
  secretKeys: ["prog:hidden"],
  options: { typescript: false, nodeargs: " --enable-source-maps  --no-warnings " },
};

describe("running a Pulumi program", () => {
  it("flags for node come first, then the runner, then the engine's wishes, then the program and its arguments", () => {
    const words = programArguments("/sdk/cmd/run", run);
    assert.deepEqual(words.slice(0, 5), [
      "--enable-source-maps",
      "--no-warnings",
      "/sdk/cmd/run",
      "--monitor",
      "127.0.0.1:2",
    ]);
    assert.ok(words.includes("--dry-run"));
    assert.deepEqual(words.slice(-4), ["--parallel", "16", "index.js", "a"]);
    assert.ok(!programArguments("/sdk/cmd/run", { ...run, dryRun: false }).includes("--dry-run"));
  });

  it("configuration comes to the SDK under the keys that the user gave, also one that starts with config:", () => {
    const { PULUMI_CONFIG = "", PULUMI_CONFIG_SECRET_KEYS } = programEnvironment(run);
    // What the SDK does with a key when it reads it: runtime/config.ts takes the first "config:" after the namespace out.
    const asRead = Object.keys(JSON.parse(PULUMI_CONFIG) as object).map((key) =>
      key.replace(/^([^:]+):config:/, "$1:"),
    );
    assert.deepEqual(asRead, ["prog:word", "prog:config:word"]);
    assert.equal(PULUMI_CONFIG_SECRET_KEYS, '["prog:config:hidden"]');
  });

  it("TypeScript is on unless the project says no, with the project's own tsconfig", () => {
    assert.equal(programEnvironment(run)["PULUMI_NODEJS_TYPESCRIPT"], "false");
    const other = programEnvironment({ ...run, options: { tsconfig: "tsconfig.pulumi.json" } });
    assert.equal(other["PULUMI_NODEJS_TYPESCRIPT"], "true");
    assert.equal(other["PULUMI_NODEJS_TSCONFIG_PATH"], "tsconfig.pulumi.json");
  });
});
