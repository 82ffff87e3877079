import assert from "node:assert/strict";
import { keyPolicy, useStatements } from "../../../core/aws-key-policy";
import { isAllowed } from "./policy-decision";
import type { PolicyStatement } from "./policy-rules";

const key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const other = "arn:aws:kms:us-east-1:123456789012:key/2234abcd-12ab-34cd-56ef-1234567890ab";
const call = { action: "kms:Encrypt", resource: key };

describe("the stand-in's decision about a call", () => {
  it("nothing allows it => denied; a Deny => denied whatever allows it", () => {
    const allow: PolicyStatement = { Effect: "Allow", Action: "kms:*", Resource: "*" };
    assert.equal(isAllowed([], call), false);
    assert.equal(isAllowed([allow], call), true);
    assert.equal(isAllowed([allow, { ...allow, Effect: "Deny" }], call), false);
  });

  it("actions => without case and with wildcards; another action, or another key => denied", () => {
    const statement: PolicyStatement = { Effect: "Allow", Action: ["KMS:enc*"], Resource: [key] };
    assert.equal(isAllowed([statement], call), true);
    assert.equal(isAllowed([statement], { ...call, action: "kms:Decrypt" }), false);
    assert.equal(isAllowed([statement], { ...call, resource: other }), false);
  });

  it("a principal => counts for that caller alone", () => {
    const statement: PolicyStatement = { Effect: "Allow", Principal: { AWS: ["a"] }, Action: "kms:*", Resource: "*" };
    assert.equal(isAllowed([statement], { ...call, principal: "a" }), true);
    assert.equal(isAllowed([statement], { ...call, principal: "b" }), false);
    assert.equal(isAllowed([statement], call), false);
  });

  it("a condition on the context => one that is absent or another denies; DescribeKey has none", () => {
    const statements = useStatements([key], { cluster: "prod" });
    assert.equal(isAllowed(statements, { ...call, context: { cluster: "prod" } }), true);
    assert.equal(isAllowed(statements, { ...call, context: { cluster: "test" } }), false);
    assert.equal(isAllowed(statements, call), false);
    assert.equal(isAllowed(statements, { action: "kms:DescribeKey", resource: key }), true);
  });

  it("a condition that is not known => an error, and no decision", () => {
    const condition = { StringLike: { "kms:EncryptionContext:cluster": "p*" } };
    const statement: PolicyStatement = { Effect: "Allow", Action: "kms:*", Resource: "*", Condition: condition };
    assert.throws(() => isAllowed([statement], call), /StringLike is a new rule/);
  });

  it("the key's own policy with a user => that role encrypts, another role of the account does not, and nobody uses the key by administering it", () => {
    const role = "arn:aws:iam::123456789012:role/masters";
    const input = { partition: "aws", account: "123456789012", administrators: [], context: undefined };
    const { Statement } = keyPolicy({ ...input, users: [role] });
    const root = "arn:aws:iam::123456789012:root";
    assert.equal(isAllowed(Statement, { ...call, principal: role }), true);
    assert.equal(isAllowed(Statement, { ...call, principal: "arn:aws:iam::123456789012:role/nodes" }), false);
    for (const action of ["kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:CreateGrant"])
      assert.equal(isAllowed(Statement, { ...call, action, principal: root }), false, action);
    assert.equal(isAllowed(Statement, { action: "kms:PutKeyPolicy", resource: key, principal: root }), true);
  });
});
