import assert from "node:assert/strict";
import { policyInputViolations, policyViolations, retirementViolations } from "../../core/rotation-policy";

const now = Date.parse("2026-11-21T00:00:00Z");
const key = (version: number, createdAt?: string) => ({ version, createdAt });
const texts = (violations: readonly { path: string; reason: string }[]) =>
  violations.map(({ path, reason }) => `${path} ${reason}`);

describe("policy for keys", () => {
  const age = (createdAt: string | undefined, maximumKeyAgeDays = 365) =>
    texts(policyViolations("policy", { maximumKeyAgeDays }, [key(1, createdAt)], [], 1, now));

  it("a key within its age, or one that is yet to be made => nothing", () => {
    assert.deepEqual(age("2026-01-01T00:00:00Z"), []);
    assert.deepEqual(age("unknown"), []);
  });

  it("a key that is too old => refused at keyVersion, with its age, the policy and the version to rotate to", () => {
    assert.match(
      age("2025-11-01T00:00:00Z").join(),
      /^keyVersion is 1, whose key was made on 2025-11-01, 385 days ago, and policy\.maximumKeyAgeDays is 365; rotate by raising keyVersion to 2/,
    );
  });

  it("a key of which nobody says when it was made => refused, because the policy cannot be kept", () => {
    assert.match(age(undefined).join(), /^policy\.maximumKeyAgeDays cannot be kept: .*give its createdAt$/);
    assert.match(age("yesterday").join(), /createdAt of key version 1 is "yesterday"; write an ISO 8601 time$/);
  });

  it("only the key that encrypts has to be young; while encryption is off none", () => {
    const keys = [key(1, "2020-01-01T00:00:00Z"), key(2, "2026-11-01T00:00:00Z")];
    assert.deepEqual(policyViolations("policy", { maximumKeyAgeDays: 30 }, keys, [], 2, now), []);
    assert.deepEqual(policyViolations("policy", { maximumKeyAgeDays: 30 }, keys, [], undefined, now), []);
  });

  it("fewer usable versions than are to be kept => refused, with what to do; a young cluster keeps all that it has", () => {
    const kept = (versions: number[], retired: number[], minimumKeptVersions: number) =>
      texts(
        policyViolations(
          "policy",
          { minimumKeptVersions },
          versions.map((v) => key(v)),
          retired,
          4,
          now,
        ),
      );
    assert.deepEqual(kept([1], [], 3), []);
    assert.deepEqual(kept([2, 3, 4], [], 3), []);
    assert.match(
      kept([3, 4], [], 3).join(),
      /^policy\.minimumKeptVersions is 3, but only 2 of the versions up to 4 stay/,
    );
    assert.match(kept([2, 3, 4], [2], 3).join(), /only 2 .*\(2 retired\); declare more of them \(oldestKeyVersion\)/);
  });

  it("a policy that is none => what to write", () => {
    const wrong = { maximumKeyAgeDays: 0, minimumKeptVersions: 1.5, maxAge: 3 };
    assert.deepEqual(texts(policyInputViolations("policy", wrong)), [
      "policy.maximumKeyAgeDays is 0; write a number greater than 0",
      "policy.minimumKeptVersions is 1.5; write a whole number greater than 0",
      "policy.maxAge is not an input; the inputs are maximumKeyAgeDays, minimumKeptVersions",
    ]);
  });
});

describe("versions to retire", () => {
  const wrong = (retire: unknown) => texts(retirementViolations("retireKeyVersions", retire, 3, [1, 2, 3]));

  it("declared versions other than the one that encrypts => nothing", () => {
    assert.deepEqual(wrong(undefined), []);
    assert.deepEqual(wrong([1, 2]), []);
  });

  it("the one that encrypts, one twice, one that is not declared, what is no version => each said", () => {
    assert.match(
      wrong([3]).join(),
      /^retireKeyVersions\[0\] is 3, the version that encrypts; rotate to another one first$/,
    );
    assert.match(wrong([1, 1]).join(), /^retireKeyVersions\[1\] repeats 1/);
    assert.match(wrong([9]).join(), /is 9, which is not declared; a retired key stays declared$/);
    assert.match(wrong(["1"]).join(), /is no key version/);
    assert.match(wrong(1).join(), /is not a list/);
  });
});
