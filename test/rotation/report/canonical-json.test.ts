import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalJson, type Json } from "../../../rotation/report/canonical-json";

describe("canonical JSON", () => {
  it("RFC 8785's own example => the text that the RFC gives", () => {
    const value = {
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
      literals: [null, true, false],
    };
    assert.equal(
      canonicalJson(value),
      `{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA'B\\"\\\\\\\\\\"/"}`,
    );
  });

  it("RFC 8785's sorting example => by UTF-16 code units", () => {
    const names = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 };
    const sorted = [...canonicalJson(names).matchAll(/:(\d)/g)].map((match) => Number(match[1]));
    assert.deepEqual(sorted, [2, 4, 6, 7, 1, 5, 3]);
  });

  it("any value => JSON that says the same, and one text whatever the order of properties", () => {
    const shuffled = (value: Json): Json => {
      if (Array.isArray(value)) return value.map((entry: Json) => shuffled(entry));
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, entry]) => [name, shuffled(entry ?? null)]),
      );
    };
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (given) => {
        const value = given as Json;
        const text = canonicalJson(value);
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
        assert.equal(canonicalJson(shuffled(value)), text);
      }),
      { numRuns: 300 },
    );
  });

  it("undefined properties => left out; what JSON cannot say => refused", () => {
    assert.equal(canonicalJson({ b: undefined, a: 1 }), '{"a":1}');
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, "\ud800"]) {
      assert.throws(() => canonicalJson([value]), /cannot be said in JSON/);
    }
  });
});
