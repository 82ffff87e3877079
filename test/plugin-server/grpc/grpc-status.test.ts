import assert from "node:assert/strict";
import fc from "fast-check";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { grpcStatus } from "../../../plugin-server/grpc/grpc-status";

const codes: readonly ErrorCode[] = [
  "invalid-input",
  "unsupported",
  "not-found",
  "conflict",
  "unreachable",
  "timeout",
  "permission-denied",
  "throttled",
  "corrupt",
  "key-unusable",
  "cancelled",
  "blocked",
  "internal",
];

/** The limit cuts between the two units of a character. */
const halfPairs = fc.integer({ min: 990, max: 1_001 }).map((length) => `${"a".repeat(length)}\u{1F511}\u{1F511}`);

describe("the gRPC status of an error", () => {
  it("is never OK or UNKNOWN, and its text is never empty, too long, or what a header can't carry", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.oneof(fc.string({ maxLength: 3_000 }), fc.string({ unit: "binary", maxLength: 40 }), halfPairs),
        fc.option(fc.string(), { nil: undefined }),
        (code, message, remedy) => {
          const { code: answered, details } = grpcStatus(
            new KmsEtcdError(code, message, remedy === undefined ? {} : { remedy }),
          );
          assert.ok(answered !== "OK" && answered !== "UNKNOWN");
          assert.ok(details.length > 0 && details.length <= 1_000);
          assert.equal(details, details.trim());
          assert.doesNotThrow(() => encodeURI(details), "a header can carry it");
        },
      ),
    );
  });

  it("is a constant for whatever is not a classified error", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.anything(),
          fc.string().map((text) => new Error(text)),
        ),
        (thrown) => {
          assert.deepEqual(grpcStatus(thrown), {
            code: "INTERNAL",
            details: "the plugin failed in an unexpected way; its log says more",
          });
        },
      ),
    );
  });
});
