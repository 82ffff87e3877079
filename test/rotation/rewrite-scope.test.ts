import assert from "node:assert/strict";
import type { ObjectFailure, StoredKey, StoredProof } from "../../rotation/observation";
import { rewriteScope } from "../../rotation/rewrite-scope";

const wanted = { provider: "kms/v2/new", keyId: "k2" };
const old = { provider: "kms/v2/old", keyId: "k1" };
const targets = [{ resource: "secrets", key: wanted }];
const proof = (keys: readonly StoredKey[], more: Partial<StoredProof> = {}, unknown = 0): StoredProof => ({
  method: "etcd",
  startedAt: 1,
  finishedAt: 2,
  servers: [],
  resources: [{ resource: "secrets", objects: 9, bytes: 0, keys, unknown }],
  ...more,
});
const refused = (name: string, objects?: number): ObjectFailure => ({
  resource: "secrets",
  namespace: "a",
  name,
  reason: "422 Invalid",
  ...(objects !== undefined && { objects }),
});

describe("what a rewrite need not offer again", () => {
  const limit = (of: StoredProof | undefined) => rewriteScope(of, targets, []).staleUpTo.get("secrets");

  it("with etcd: what was changed after the newest value with another key, whatever that key is", () => {
    const keys = [
      { key: wanted, objects: 5, newest: 99 },
      { key: old, objects: 1, newest: 40 },
      { key: { ...wanted, keyId: "k1" }, objects: 1, newest: 50 },
    ];
    assert.equal(limit(proof(keys)), 50);
    assert.equal(limit(proof(keys.slice(0, 1))), 0);
  });

  it("nothing is left out while anything is not known: no proof, a value of an unknown form, a revision, a target", () => {
    assert.equal(limit(undefined), undefined);
    assert.equal(limit(proof([{ key: old, objects: 1, newest: 40 }], {}, 1)), undefined);
    assert.equal(limit(proof([{ key: old, objects: 1 }])), undefined);
    assert.equal(limit(proof([], { resources: [] })), undefined);
    assert.equal(limit(proof([{ key: old, objects: 1, newest: 40 }], { method: "api" })), undefined);
  });

  it("through the API: the refused ones alone, where they are all that is left", () => {
    const one = proof([{ key: wanted, objects: 8 }], { method: "api" }, 1);
    assert.deepEqual(rewriteScope(one, targets, [refused("x")]).refused, [refused("x")]);
    assert.equal(rewriteScope(one, targets, []).refused, undefined);
    assert.equal(rewriteScope(one, targets, [refused("", 5)]).refused, undefined, "who they are is not known");
    const two = proof([{ key: wanted, objects: 7 }], { method: "api" }, 2);
    assert.equal(rewriteScope(two, targets, [refused("x")]).refused, undefined, "there is another one");
  });
});
