import assert from "node:assert/strict";
import fc from "fast-check";
import { frameMessage, unframeMessage } from "../../core/grpc-frame";

describe("the frame of a gRPC message", () => {
  const bytes = fc.uint8Array({ maxLength: 300 });

  it("holds what was put into it", () => {
    fc.assert(
      fc.property(bytes, (message) => assert.deepEqual(unframeMessage(frameMessage(message)), Buffer.from(message))),
    );
  });

  it("is refused when it is cut off, followed by more, or compressed", () => {
    fc.assert(
      fc.property(
        bytes,
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        fc.integer({ min: 1, max: 255 }),
        (message, more, flag) => {
          const frame = frameMessage(message);
          for (let end = 0; end < frame.length; end++)
            assert.equal(unframeMessage(frame.subarray(0, end)), "incomplete");
          assert.equal(unframeMessage(Buffer.concat([frame, more])), "more than one");
          frame[0] = flag;
          assert.equal(unframeMessage(frame), "compressed");
        },
      ),
      { numRuns: 30 },
    );
  });
});
