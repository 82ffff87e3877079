import assert from "node:assert/strict";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { createCallsUnderWay } from "../../../plugin-server/grpc/calls-under-way";
import type { GrpcStatus } from "../../../plugin-server/grpc/grpc-status";
import type { ServedKey } from "../../../plugin-server/grpc/served-key";
import type { UnaryCall } from "../../../plugin-server/grpc/unary-call";
import { unaryHandler } from "../../../plugin-server/grpc/unary-handler";

/** Whether a call that `serve` serves makes the plugin look after its key, once it has failed. */
async function suspects(serve: () => Promise<never>, timeoutMs = Number.POSITIVE_INFINITY): Promise<boolean> {
  let suspected = false;
  const key = {
    calls: createCallsUnderWay(20),
    health: {
      suspect: () => {
        suspected = true;
      },
    },
    observer: { ended: () => undefined },
    log: { enabled: () => false, write: () => undefined },
  } as unknown as ServedKey;
  await new Promise<GrpcStatus>((failed) => {
    const call = { request: "", timeoutMs, hasLeft: false, onLeaving: () => undefined, fail: failed };
    unaryHandler<string, string>(key, "v2", "encrypt", () => "", serve)(call as unknown as UnaryCall<string, string>);
  });
  return suspected;
}

describe("a failed call", () => {
  const failing = (code: ErrorCode) => () => Promise.reject(new KmsEtcdError(code, "it failed"));
  const silent = () => new Promise<never>(() => {});

  for (const code of ["key-unusable", "permission-denied", "not-found", "unreachable", "timeout"] as const)
    it(`makes the plugin look after its key: ${code}`, async () => assert.equal(await suspects(failing(code)), true));

  for (const code of ["invalid-input", "corrupt", "throttled", "cancelled", "internal"] as const)
    it(`says nothing about the key: ${code}`, async () => assert.equal(await suspects(failing(code)), false));

  it("makes the plugin look after a key that doesn't answer, and not because a caller has little time", async () => {
    assert.equal(await suspects(silent), true);
    assert.equal(await suspects(silent, 21), true);
    assert.equal(await suspects(silent, 5), false);
    assert.equal(await suspects(failing("unreachable"), 5), true);
  });
});
