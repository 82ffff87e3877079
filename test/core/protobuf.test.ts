import assert from "node:assert/strict";
import fc from "fast-check";
import { KmsEtcdError } from "../../core/errors";
import { messageCodec, ProtobufReader, WireType } from "../../core/protobuf";

interface Sample {
  readonly name: string;
  readonly data: Uint8Array;
  readonly notes: Readonly<Record<string, Uint8Array>>;
}

const codec = messageCodec<Sample>({
  name: { number: 1, type: "string" },
  data: { number: 2, type: "bytes" },
  notes: { number: 15, type: "bytesMap" },
});

const isCorrupt = (error: unknown) => error instanceof KmsEtcdError && error.code === "corrupt";

describe("the protobuf codec", () => {
  it("gives every message back", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.uint8Array({ maxLength: 5000 }),
        fc.dictionary(fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 300 })),
        (name, data, notes) => {
          const decoded = codec.decode(codec.encode({ name, data, notes }));
          assert.equal(decoded.name, name);
          assert.deepEqual(Buffer.from(decoded.data), Buffer.from(data));
          assert.deepEqual(plain(decoded.notes), plain(notes));
        },
      ),
    );
  });

  it("writes nothing for defaults and reads nothing as defaults", () => {
    assert.equal(codec.encode({ name: "", data: new Uint8Array(0), notes: {} }).length, 0);
    assert.deepEqual(codec.decode(Buffer.alloc(0)), { name: "", data: Buffer.alloc(0), notes: {} });
  });

  it("passes over unknown fields of every wire type, groups included", () => {
    const known = codec.encode({ name: "n", data: Buffer.from([1]), notes: {} });
    const unknownFields = Buffer.from([
      ...[(9 << 3) | WireType.varint, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
      ...[(10 << 3) | WireType.fixed64, 1, 2, 3, 4, 5, 6, 7, 8],
      ...[(11 << 3) | WireType.bytes, 2, 0, 0],
      ...[(12 << 3) | WireType.fixed32, 1, 2, 3, 4],
      ...[(13 << 3) | WireType.startGroup, (14 << 3) | WireType.startGroup, (14 << 3) | WireType.endGroup],
      ...[(1 << 3) | WireType.varint, 5, (13 << 3) | WireType.endGroup],
    ]);
    const decoded = codec.decode(Buffer.concat([unknownFields, known, unknownFields]));
    assert.equal(decoded.name, "n");
    assert.deepEqual([...decoded.data], [1]);
  });

  it("keeps the last of a field that stands twice", () => {
    const twice = Buffer.concat(["a", "b"].map((name) => codec.encode({ name, data: Buffer.alloc(0), notes: {} })));
    assert.equal(codec.decode(twice).name, "b");
  });

  it("does not let a map's key change the object's prototype", () => {
    const hostile = codec.encode({
      name: "",
      data: Buffer.alloc(0),
      notes: Object.fromEntries([["__proto__", Buffer.from("x")]]),
    });
    const { notes } = codec.decode(hostile);
    assert.equal(Object.getPrototypeOf(notes), Object.prototype);
    assert.deepEqual(Object.keys(notes), ["__proto__"]);
  });

  it("refuses every message that is cut off inside a field, and never anything but as corrupt", () => {
    const whole = codec.encode({ name: "name", data: Buffer.alloc(200, 7), notes: { a: Buffer.from("b") } });
    const boundaries = new Set([0, 6, 6 + 203, whole.length]);
    for (let length = 0; length < whole.length; length++) {
      if (boundaries.has(length)) continue;
      assert.throws(() => codec.decode(whole.subarray(0, length)), isCorrupt, `cut off at ${length}`);
    }
  });

  it("ends on any bytes with a message or with corrupt", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          codec.decode(bytes);
        } catch (error) {
          assert.ok(isCorrupt(error), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  for (const [what, bytes] of [
    ["field number 0", [0x02, 0x00]],
    ["a field of another type", [(1 << 3) | WireType.varint, 1]],
    ["a number of eleven bytes", [(9 << 3) | WireType.varint, ...Array.from({ length: 10 }, () => 0x80), 1]],
    ["wire type 7", [(9 << 3) | 7]],
    ["an end of a group that has not begun", [(9 << 3) | WireType.endGroup]],
    ["a group closed by another field", [(9 << 3) | WireType.startGroup, (8 << 3) | WireType.endGroup]],
    ["a length beyond the message", [(2 << 3) | WireType.bytes, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => codec.decode(Uint8Array.from(bytes)), isCorrupt);
    });
  }

  it("reads inside the bounds that it was given only", () => {
    const bytes = Buffer.from([0xff, (1 << 3) | WireType.varint, 0x96, 0x01, 0xff]);
    const reader = new ProtobufReader(bytes, 1, 4);
    assert.ok(reader.next());
    assert.equal(reader.varint(), 150);
    assert.equal(reader.next(), false);
  });
});

function plain(map: Readonly<Record<string, Uint8Array>>): readonly (readonly [string, string])[] {
  return Object.entries(map)
    .map(([key, value]) => [key, Buffer.from(value).toString("hex")] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
