import assert from "node:assert/strict";
import fc from "fast-check";
import { readFlags, splitList } from "../../../plugin-server/config/flags";

const specs = {
  name: { kind: "value", help: "" },
  n: { kind: "value", help: "" },
  on: { kind: "switch", help: "" },
} as const;
const read = (...args: readonly string[]) => readFlags(args, specs, (name) => (name === "theirs" ? "aws" : undefined));

describe("flags", () => {
  it("are read in every form that Go takes", () => {
    for (const args of [["-name=v"], ["--name=v"], ["-name", "v"], ["--name", "v"], ["--name", "first", "--name=v"]]) {
      const flags = read(...args);
      assert.deepEqual([flags.text("name"), flags.problems], ["v", []], args.join(" "));
    }
  });

  it("have any text as value, also one that begins with a hyphen, has = in it, or is empty", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        assert.equal(read(`--name=${value}`).text("name"), value);
        assert.equal(read("--name", value).text("name"), value);
      }),
    );
  });

  it("keep all values in their order", () => {
    assert.deepEqual(read("--name=a", "-n", "1", "--name", "b").all("name"), ["a", "b"]);
    assert.deepEqual(read().all("name"), []);
  });

  it("that are switches take a value only after =", () => {
    for (const [args, on] of [
      [["-on"], true],
      [["--on=T"], true],
      [["--on=false"], false],
      [["--on", "--on=0"], false],
      [[], false],
    ] as const) {
      const flags = read(...args);
      assert.deepEqual([flags.flag("on"), flags.problems], [on, []]);
    }
    assert.deepEqual(read("--on", "false").problems, ['"false" is not a flag; values follow their flag']);
    const wrong = read("--on=yes");
    wrong.flag("on");
    assert.deepEqual(wrong.problems, ['--on is "yes": give true or false']);
  });

  it("are all reported when they are wrong, each once", () => {
    assert.deepEqual(read("--foo", "1", "--theirs=x", "stray", "--", "-", "--name").problems, [
      "--foo is not a flag that this program knows",
      '--theirs is a flag of "aws"',
      '"stray" is not a flag; values follow their flag',
      '"--" is not a flag; values follow their flag',
      '"-" is not a flag; values follow their flag',
      "--name has no value",
    ]);
    assert.deepEqual(read("--constructor=1").problems, ["--constructor is not a flag that this program knows"]);
  });

  it("read numbers and durations as Go does, and say what is wrong with others", () => {
    assert.equal(read("-n", "0x10").whole("n", 1, 100), 16);
    assert.equal(read("-n=7").whole("n", 1, 100), 7);
    assert.equal(read().whole("n", 1, 100), 1);
    assert.equal(read("-n=1m30s").milliseconds("n", 1), 90_000);
    for (const text of ["101", "-1", "1.5", "", "x", "0x", "1e1"]) {
      const flags = read(`-n=${text}`);
      assert.equal(flags.whole("n", 1, 100), 1);
      assert.deepEqual(flags.problems, [`--n is "${text}": give a whole number from 0 to 100`]);
    }
    for (const text of ["0", "5", "x", "-1s"]) {
      const flags = read(`-n=${text}`);
      assert.equal(flags.milliseconds("n", 1), 1);
      assert.equal(flags.problems.length, 1, text);
    }
  });
});

describe("a comma-separated list", () => {
  it("is split at its commas, but not inside quotes", () => {
    assert.deepEqual(splitList(""), []);
    assert.deepEqual(splitList("a"), ["a"]);
    assert.deepEqual(splitList("a,b,,c"), ["a", "b", "", "c"]);
    assert.deepEqual(splitList('"a,b",c'), ["a,b", "c"]);
    assert.deepEqual(splitList('a,"say ""x"""'), ["a", 'say "x"']);
  });

  it("gives back whatever was quoted", () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), (values) => {
        assert.deepEqual(splitList(values.map((value) => `"${value.replaceAll('"', '""')}"`).join(",")), values);
      }),
    );
  });
});
