import assert from "node:assert/strict";
import { grpcTimeoutMs } from "../../../plugin-server/grpc/grpc-timeout";

describe("a caller's timeout", () => {
  for (const [header, ms] of [
    [undefined, Number.POSITIVE_INFINITY],
    ["2H", 7_200_000],
    ["3M", 180_000],
    ["3S", 3_000],
    ["2999m", 2_999],
    ["2999847u", 2_999.847],
    ["99999999n", 99.999_999],
    ["0n", 0],
  ] as const) {
    it(`is ${ms} ms where the header says ${header ?? "nothing"}`, () => {
      const read = grpcTimeoutMs(header);
      assert.ok(read === ms || Math.abs((read ?? Number.NaN) - ms) < 1e-9, String(read));
    });
  }

  for (const header of ["", "3", "S", "3s", "3 S", "-3S", "1.5S", "123456789n", "3SS", "0x3S"]) {
    it(`can't be read from ${JSON.stringify(header)}`, () => assert.equal(grpcTimeoutMs(header), undefined));
  }
});
