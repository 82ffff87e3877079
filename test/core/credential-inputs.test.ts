import assert from "node:assert/strict";
import {
  ciliumKeyNumber,
  keypairRotationInputs,
  keypairRotationViolations,
  secretRotationViolations,
} from "../../core/credential-inputs";

const kops = { clusterName: "e2e.k8s.local" };
const since = "2026-01-01T00:00:00Z";
const paths = (violations: readonly { readonly path: string }[]) => violations.map(({ path }) => path);

describe("inputs of the rotation of kOps' credentials", () => {
  it("the least that is needed => no violation, and every rotatable keyset up to Distrust", () => {
    assert.deepEqual(keypairRotationViolations({ kops, replaceMadeBefore: since }), []);
    assert.deepEqual(keypairRotationInputs({ kops, replaceMadeBefore: since }), {
      kops: { program: "kops", rolling: {}, ...kops },
      keysets: "all",
      madeBefore: Date.parse(since),
      advanceTo: "Distrust",
      clientsTrustKeypair: undefined,
      clientsUseKeypair: undefined,
      adminCredentialLifetime: undefined,
    });
  });

  it("what Pulumi does not know yet => taken to be right", () => {
    const unknown = Symbol("unknown");
    const later = { kops: unknown, replaceMadeBefore: unknown, clientsTrustKeypair: unknown, keysets: [unknown] };
    assert.deepEqual(keypairRotationViolations(later), []);
    assert.deepEqual(secretRotationViolations({ kops: unknown, secret: "dockerconfig", content: unknown }), []);
  });

  it("each mistake => its path, with what to write", () => {
    const good = { kops, replaceMadeBefore: since };
    const mistakes: readonly (readonly [Readonly<Record<string, unknown>>, string, RegExp])[] = [
      [{ replaceMadeBefore: since }, "kops", /say which cluster/],
      [{ ...good, kops: { clusterName: "--all" } }, "kops.clusterName", /DNS name/],
      [{ ...good, kops: { ...kops, kubeconfig: "x" } }, "kops.kubeconfig", /is not an input/],
      [{ ...good, kops: { ...kops, recordDirectory: "here" } }, "kops.recordDirectory", /absolute/],
      [{ kops }, "replaceMadeBefore", /is missing; write a date/],
      [{ kops, replaceMadeBefore: "2026-01-01T00:00:00" }, "replaceMadeBefore", /with its zone/],
      [{ kops, replaceMadeBefore: "2999-01-01" }, "replaceMadeBefore", /has not come/],
      [{ ...good, keysets: [] }, "keysets", /is empty/],
      [{ ...good, keysets: ["all", "kubernetes-ca"] }, "keysets", /keep "all" alone/],
      [{ ...good, keysets: ["kubernetes-ca", "--yes"] }, "keysets[1]", /keyset's name/],
      [{ ...good, advanceTo: "Promoted" }, "advanceTo", /None, Stage, Promote, Distrust/],
      [{ ...good, clientsTrustKeypair: true }, "clientsTrustKeypair", /number as a text/],
      [{ ...good, adminCredentialLifetime: "1 day" }, "adminCredentialLifetime", /as Go does/],
      [{ ...good, clientTrust: "1" }, "clientTrust", /is not an input/],
    ];
    for (const [inputs, path, reason] of mistakes) {
      const [violation, ...others] = keypairRotationViolations(inputs);
      assert.deepEqual([violation?.path, others], [path, []], JSON.stringify(inputs));
      assert.match(violation?.reason ?? "", reason);
    }
  });

  it("a secret of the wrong kind => refused, and its text is not shown", () => {
    const text = "hunter2";
    const wrong = [
      ...secretRotationViolations({ kops, secret: "dockerconfig", content: text }),
      ...secretRotationViolations({ kops, secret: "ciliumpassword", content: text }),
      ...secretRotationViolations({ kops, secret: "encryptionconfig", content: text }),
    ];
    assert.deepEqual(paths(wrong), ["content", "content", "secret"]);
    assert.doesNotMatch(JSON.stringify(wrong), new RegExp(text));
    const cilium = (number: number) => `keys: ${number} rfc4106(gcm(aes)) 0123456789abcdef 128`;
    assert.deepEqual(secretRotationViolations({ kops, secret: "ciliumpassword", content: cilium(15) }), []);
    assert.deepEqual(paths(secretRotationViolations({ kops, secret: "ciliumpassword", content: cilium(16) })), [
      "content",
    ]);
    assert.equal(ciliumKeyNumber(cilium(7)), 7);
  });
});
