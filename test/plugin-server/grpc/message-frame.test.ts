import assert from "node:assert/strict";
import fc from "fast-check";
import { frameMessage, unframeMessage } from "../../../plugin-server/grpc/message-frame";

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
          const refused = (body: Buffer, details: string) =>
            assert.deepEqual(unframeMessage(body), { code: "INTERNAL", details });
          for (let end = 0; end < frame.length; end++)
            refused(frame.subarray(0, end), "the request has no whole message");
          refused(Buffer.concat([frame, more]), "the request has more than one message");
          frame[0] = flag;
          refused(frame, "the request's message is compressed, and its head says not how");
        },
      ),
      { numRuns: 30 },
    );
  });
});
