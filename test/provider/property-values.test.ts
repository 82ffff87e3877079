import assert from "node:assert/strict";
import fc from "fast-check";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import {
  hasUnknown,
  type PropertyValue,
  readProperties,
  unknown,
  writeProperties,
} from "../../provider/property-values";

const leaf: fc.Arbitrary<PropertyValue> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
  fc.string(),
  fc.constant(unknown),
);
const name = fc.stringMatching(/^[a-z][A-Za-z0-9]{0,8}$/);
const { value } = fc.letrec<{ value: PropertyValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    leaf,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(name, tie("value"), { maxKeys: 3, noNullPrototype: true }),
  ),
}));

describe("property values", () => {
  it("any properties, unknowns and secrets among them => the same after the wire", () => {
    fc.assert(
      fc.property(
        fc.dictionary(name, value, { noNullPrototype: true }),
        fc.infiniteStream(fc.boolean()),
        (values, coin) => {
          const secrets = new Set(Object.keys(values).filter(() => coin.next().value));
          for (const [property, inner] of Object.entries(values)) {
            if (Array.isArray(inner) && inner.length > 0 && !secrets.has(property)) secrets.add(`${property}[0]`);
          }
          const bytes = writeProperties(values, secrets).serializeBinary();
          const back = readProperties(Struct.deserializeBinary(bytes));
          assert.deepEqual(back.values, values);
          assert.deepEqual(back.secrets, secrets);
        },
      ),
    );
  });

  it("a secret deep inside a property => its path, and it alone is marked on the way out", () => {
    const secret = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", value: "s" };
    const read = readProperties(Struct.fromJavaScript({ keys: [{ file: secret }], open: "o" }));
    assert.deepEqual(read.values, { keys: [{ file: "s" }], open: "o" });
    assert.deepEqual([...read.secrets], ["keys[0].file"]);
    const written = writeProperties(read.values, read.secrets).toJavaScript();
    assert.deepEqual(written, { keys: [{ file: secret }], open: "o" });
  });

  it("nothing on the wire => no properties", () => {
    assert.deepEqual(readProperties(undefined).values, {});
  });

  it("an unknown at any depth => found", () => {
    assert.equal(hasUnknown({ a: [{ b: unknown }] }), true);
    assert.equal(hasUnknown({ a: [{ b: 1 }], c: null }), false);
  });
});
