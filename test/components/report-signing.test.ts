import assert from "node:assert/strict";
import * as pulumi from "@pulumi/pulumi";
import { type ReportSigningArgs, withSigningSecret } from "../../components/report-signing";

describe("the key that a report is signed with, among a component's inputs", () => {
  const signing: ReportSigningArgs = { privateKey: "PEM" };
  const forms: Readonly<Record<string, pulumi.Input<ReportSigningArgs>>> = {
    "a plain object": signing,
    "an output": pulumi.output(signing),
    "a promise": Promise.resolve(signing),
    "an object with an output in it": { privateKey: pulumi.output("PEM") },
  };
  for (const [form, given] of Object.entries(forms)) {
    it(`is a secret when it is given as ${form}`, async () => {
      const marked = pulumi.output(withSigningSecret(given));
      assert.ok(await pulumi.isSecret(marked.apply(({ privateKey }) => privateKey)));
      const value = await new Promise((resolve) => marked.apply(resolve));
      assert.deepEqual(value, signing);
    });
  }
});
