import assert from "node:assert/strict";
import { ReplaceableSecret } from "../../../../core/replaceable-secret";
import { decideSecret, type SecretSeen } from "../../../../rotation/adapters/kops-credentials/decide-secret";
import { freshFacts, validationKey } from "../../../../rotation/adapters/kops-credentials/fleet-decision";

const docker = { secret: ReplaceableSecret.DockerConfig, text: '{"auths":{}}' };
const cilium = { secret: ReplaceableSecret.CiliumPassword, text: "keys: 4 rfc4106(gcm(aes)) 01 128" };
const machine = { name: "i-1", group: "nodes-a", needsUpdate: false };
const fleet = { groups: [{ name: "nodes-a", role: "Node" }], machines: [machine], pending: false, mustGo: [] };

function decide(seen: Partial<SecretSeen>, goal: typeof docker | typeof cilium, facts = freshFacts, settled?: string) {
  const observed = { text: goal.text, fingerprint: "f", fleet, ...seen };
  return decideSecret({ ...observed, facts, settled }, goal);
}

describe("replacing a secret of kOps", () => {
  it("another text, or none => put, in the place of what was seen", () => {
    for (const text of [undefined, "{}"]) {
      const decision = decide({ text }, docker);
      assert.deepEqual(decision.kind === "act" && decision.action, { kind: "put", expected: "f" });
    }
  });

  it("changed again after this run has put it => refused, without a text", () => {
    const decision = decide({ text: "{}" }, docker, { ...freshFacts, changed: true });
    assert.equal(decision.kind, "blocked");
    assert.doesNotMatch(JSON.stringify(decision), /auths/);
  });

  it("Cilium's key with the number that is in use => refused; with another => put; the same text => nothing to put", () => {
    const same = decide({ text: "keys: 4 rfc4106(gcm(aes)) 02 128" }, cilium);
    assert.match(same.kind === "blocked" ? same.reason : "", /has the number 4 too/);
    assert.equal(decide({ text: "keys: 3 rfc4106(gcm(aes)) 02 128" }, cilium).kind, "act");
    assert.equal(decide({}, cilium).kind, "validate");
  });

  it("put => the update, machines that must go, then validation; settled => nothing", () => {
    const put = { ...freshFacts, changed: true };
    const update = decide({}, docker, put);
    assert.deepEqual(update.kind === "act" && update.action, { kind: "update" });
    const updated = { ...put, updatedFor: "f" };
    const roll = decide({ fleet: { ...fleet, mustGo: ["i-1"] } }, docker, updated);
    assert.deepEqual(roll.kind === "act" && roll.action, { kind: "roll", group: "nodes-a", force: true });
    const replaced = { ...fleet, machines: [{ ...machine, name: "i-2" }], mustGo: ["i-1"] };
    assert.equal(decide({ fleet: replaced }, docker, updated).kind, "validate");
    const validation = { of: validationKey({ fleet: replaced, fingerprint: "f" }), failure: undefined };
    assert.equal(decide({ fleet: replaced }, docker, { ...updated, validation }).kind, "done");
    assert.equal(decide({}, docker, freshFacts, "f").kind, "done");
  });

  it("machines that kOps calls old => another change's, for a Docker configuration; rolled for Cilium, as kOps' guide has it", () => {
    const old = { ...fleet, machines: [{ ...machine, needsUpdate: true }], pending: true };
    assert.equal(decide({ fleet: old }, docker).kind, "validate");
    const decision = decide({ fleet: old }, cilium);
    assert.deepEqual(decision.kind === "act" && decision.action, { kind: "update" });
  });
});
