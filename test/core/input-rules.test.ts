import assert from "node:assert/strict";
import fc from "fast-check";
import {
  declaredVersions,
  keyBlocks,
  keyVersionRange,
  keyVersionViolations,
  oneBlockViolations,
  platformBlocks,
  resourceNameViolations,
  unknownInputViolations,
} from "../../core/input-rules";

describe("input rules", () => {
  const bad: readonly (readonly [string, unknown])[] = [
    ["zero", 0],
    ["negative", -1],
    ["fractional", 1.5],
    ["a text", "2"],
    ["missing", undefined],
    ["not a number", Number.NaN],
    ["too large to count with", 2 ** 53],
    ["an object, for example an Output", {}],
  ];
  for (const [name, keyVersion] of bad) {
    it(`a keyVersion that is ${name} => a violation at keyVersion that says what to write`, () => {
      const violations = keyVersionViolations({ keyVersion });
      assert.equal(violations.length, 1);
      assert.equal(violations[0]?.path, "keyVersion");
      assert.match(violations[0].reason, /write a whole number, 1 or greater$/);
    });
  }

  it("a keyVersion above newestKeyVersion => a violation that names newestKeyVersion", () => {
    const [violation, ...others] = keyVersionViolations({ keyVersion: 3, newestKeyVersion: 2 });
    assert.equal(others.length, 0);
    assert.equal(violation?.path, "keyVersion");
    assert.match(violation.reason, /newest declared key is version 2; raise newestKeyVersion to 3/);
  });

  it("a keyVersion below oldestKeyVersion => a violation that names oldestKeyVersion", () => {
    const [violation] = keyVersionViolations({ keyVersion: 1, oldestKeyVersion: 2, newestKeyVersion: 2 });
    assert.match(violation?.reason ?? "", /oldest declared key is version 2; lower oldestKeyVersion to 1/);
  });

  it("a million declared keys => a violation before a single one is made", () => {
    const [violation] = keyVersionViolations({ keyVersion: 1, newestKeyVersion: 1_000_000 });
    assert.equal(violation?.path, "oldestKeyVersion");
    assert.match(violation.reason, /declare at most 100/);
  });

  it("any whole numbers oldest <= active <= newest => no violation, and every version from oldest to newest is declared", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(20), fc.nat(20), (oldest, toActive, toNewest) => {
        const inputs = {
          keyVersion: oldest + toActive,
          oldestKeyVersion: oldest,
          newestKeyVersion: oldest + toActive + toNewest,
        };
        assert.deepEqual(keyVersionViolations(inputs), []);
        const versions = declaredVersions(keyVersionRange(inputs));
        assert.equal(versions[0], oldest);
        assert.equal(versions.at(-1), inputs.newestKeyVersion);
        assert.equal(versions.length, toActive + toNewest + 1);
        assert.ok(versions.includes(inputs.keyVersion));
      }),
    );
  });

  it("nothing but keyVersion => versions 1 to keyVersion are declared", () => {
    assert.deepEqual(declaredVersions(keyVersionRange({ keyVersion: 3 })), [1, 2, 3]);
  });

  it("two key blocks => a violation at each", () => {
    const violations = oneBlockViolations({ awsKms: {}, localKey: {} }, keyBlocks, "key");
    assert.deepEqual(
      violations.map((violation) => violation.path),
      ["awsKms", "localKey"],
    );
    assert.match(violations[0]?.reason ?? "", /one of 2 blocks that name a key \(awsKms, localKey\); keep exactly one/);
  });

  it("two clusters => a violation at each", () => {
    const violations = oneBlockViolations({ local: {}, kops: {} }, platformBlocks, "cluster");
    assert.deepEqual(
      violations.map((violation) => violation.path),
      ["kops", "local"],
    );
  });

  it("no key block => a violation that lists what can be given", () => {
    assert.deepEqual(oneBlockViolations({}, keyBlocks, "key"), [
      {
        path: "azureKeyVault",
        reason: "is missing: no key is named; give exactly one of azureKeyVault, awsKms, localKey",
      },
    ]);
  });

  it("a block that this version can't carry out => a violation that says so", () => {
    assert.deepEqual(oneBlockViolations({ other: {} }, ["other", "kops", "local"], "cluster"), [
      { path: "other", reason: "is not available in this version; use kops or local" },
    ]);
  });

  it("exactly one available block => no violation", () => {
    assert.deepEqual(oneBlockViolations({ localKey: {}, awsKms: undefined }, keyBlocks, "key"), []);
  });

  it("a misspelt input => a violation that lists the inputs", () => {
    assert.deepEqual(unknownInputViolations({ keyversion: 1, keyVersion: 1 }, ["keyVersion"]), [
      { path: "keyversion", reason: "is not an input; the inputs are keyVersion" },
    ]);
  });

  it("a kind, a repeated name, an empty list => violations; plural names, groups and wildcards => none", () => {
    assert.deepEqual(resourceNameViolations("resources", ["secrets", "pandas.example.com", "*.*", "*.", "*.apps"]), []);
    for (const name of ["Secret", "*", "secrets.", ""]) {
      assert.match(resourceNameViolations("resources", [name])[0]?.reason ?? "", /plural name/, name);
    }
    assert.deepEqual(resourceNameViolations("resources", ["secrets", "secrets"]), [
      { path: "resources[1]", reason: 'repeats "secrets"; name each resource once' },
    ]);
    assert.match(resourceNameViolations("resources", [])[0]?.reason ?? "", /is empty/);
  });
});
