import assert from "node:assert/strict";
import fc from "fast-check";
import {
  annotationsFor,
  decodeCiphertext,
  decodePlaintext,
  encodeCiphertext,
  fromBase64url,
} from "../../../../plugin-server/providers/azure-key-vault/wire-format";

const block = fc.constantFrom(256, 384, 512).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));

describe("the wire format of Azure Key Vault's plugins", () => {
  it("gives every block back", () => {
    fc.assert(
      fc.property(block, (bytes) => {
        const decoded = decodeCiphertext(encodeCiphertext(bytes));
        assert.deepEqual(Buffer.from(decoded.block), Buffer.from(bytes));
        assert.equal(decoded.encoding, "kubernetes-kms");
      }),
    );
  });

  it("knows a raw block as OpenShift's", () => {
    fc.assert(
      fc.property(block, (bytes) => {
        // By chance a block is text only once in 2^512 cases; a byte outside of the alphabet rules it out.
        const raw = Uint8Array.from(bytes).fill(0, 0, 1);
        assert.deepEqual(decodeCiphertext(raw), { block: raw, encoding: "openshift" });
      }),
    );
  });

  it("says of anything else that the ciphertext is at fault", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 700 }).filter((bytes) => ![256, 384, 512, 342, 683].includes(bytes.length)),
        (bytes) => {
          assert.throws(() => decodeCiphertext(bytes), { code: "corrupt" });
        },
      ),
    );
  });

  it("reads OpenShift's plaintext, which is text once more", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (plaintext) => {
        const text = Buffer.from(Buffer.from(plaintext).toString("base64url"));
        assert.deepEqual(Buffer.from(decodePlaintext(text, "openshift")), Buffer.from(plaintext));
      }),
    );
    assert.throws(() => decodePlaintext(Buffer.from("not base64url!"), "openshift"), { code: "corrupt" });
  });

  it("takes no other spelling of base64url", () => {
    for (const text of ["AA==", "A A", "AB", "A", "AA+/", "AA\n"]) assert.equal(fromBase64url(text), undefined, text);
    assert.deepEqual(Buffer.from(fromBase64url("-_8") ?? []), Buffer.from([0xfb, 0xff]));
  });

  it("does not let an answer fill etcd with annotations", () => {
    const long = "x".repeat(100_000);
    const total = Object.values(annotationsFor({ date: long, requestId: long, region: long })).reduce(
      (sum, value) => sum + value.length,
      0,
    );
    assert.ok(total < 1_024);
  });
});
