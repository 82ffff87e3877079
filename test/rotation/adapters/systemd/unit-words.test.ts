import assert from "node:assert/strict";
import fc from "fast-check";
import { commandWord, quotedWord, splitWords, withVariables } from "../../../../rotation/adapters/systemd/unit-words";

describe("words of a unit's command line", () => {
  it("quotes and escapes are systemd's", () => {
    assert.deepEqual(splitWords("  a  'b c' \"d \\\"e\" f\\x20g h'i'j \\q '' "), [
      "a",
      "b c",
      'd "e',
      "f g",
      "hij",
      "\\q",
      "",
    ]);
    assert.equal(splitWords("a 'b"), undefined);
  });

  it("$NAME alone becomes the words of its value, ${NAME} is put in as it is, $$ is a dollar", () => {
    const values = { A: "--x=1 '--y=2 3'", B: "b c" };
    assert.deepEqual(withVariables(["$A", "-${B}-", "$$A", "x$A", "$NONE", "${NONE}"], values), [
      "--x=1",
      "--y=2 3",
      "-b c-",
      "$A",
      "x$A",
      "",
    ]);
  });

  it("whatever is written as a word is read as the same word", () => {
    const noBreaks = fc.string().filter((text) => !/[\0\n]/.test(text));
    fc.assert(
      fc.property(fc.array(noBreaks, { minLength: 1 }), (words) => {
        const read = splitWords(words.map(commandWord).join(" "))?.map((word) => word.replaceAll("%%", "%"));
        assert.deepEqual(withVariables(read ?? [], {}), words);
        assert.deepEqual(
          splitWords(words.map(quotedWord).join(" "))?.map((word) => word.replaceAll("%%", "%")),
          words,
        );
      }),
    );
  });
});
