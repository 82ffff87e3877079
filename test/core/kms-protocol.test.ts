import assert from "node:assert/strict";
import { loadPackageDefinition, type MethodDefinition, type ServiceClientConstructor } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import fc from "fast-check";
import { kmsV1Service, kmsV2Service, type UnaryMethod } from "../../core/kms-protocol";

/** The two services in protobufjs' JSON form, written from the field tables of the published interface. */
const field = (type: string, id: number) => ({ type, id });
const description = {
  nested: {
    v2: {
      nested: {
        StatusRequest: { fields: {} },
        StatusResponse: {
          fields: { version: field("string", 1), healthz: field("string", 2), keyId: field("string", 3) },
        },
        EncryptRequest: { fields: { plaintext: field("bytes", 1), uid: field("string", 2) } },
        EncryptResponse: {
          fields: {
            ciphertext: field("bytes", 1),
            keyId: field("string", 2),
            annotations: { keyType: "string", ...field("bytes", 3) },
          },
        },
        DecryptRequest: {
          fields: {
            ciphertext: field("bytes", 1),
            uid: field("string", 2),
            keyId: field("string", 3),
            annotations: { keyType: "string", ...field("bytes", 4) },
          },
        },
        DecryptResponse: { fields: { plaintext: field("bytes", 1) } },
        KeyManagementService: service("Status", "Encrypt", "Decrypt"),
      },
    },
    v1beta1: {
      nested: {
        VersionRequest: { fields: { version: field("string", 1) } },
        VersionResponse: {
          fields: { version: field("string", 1), runtimeName: field("string", 2), runtimeVersion: field("string", 3) },
        },
        EncryptRequest: { fields: { version: field("string", 1), plain: field("bytes", 2) } },
        EncryptResponse: { fields: { cipher: field("bytes", 1) } },
        DecryptRequest: { fields: { version: field("string", 1), cipher: field("bytes", 2) } },
        DecryptResponse: { fields: { plain: field("bytes", 1) } },
        KeyManagementService: service("Version", "Encrypt", "Decrypt"),
      },
    },
  },
};

function service(...methods: readonly string[]) {
  return {
    methods: Object.fromEntries(
      methods.map((name) => [name, { requestType: `${name}Request`, responseType: `${name}Response` }]),
    ),
  };
}

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record<T>(model, { noNullPrototype: true });
const text = fc.string({ unit: "binary", maxLength: 80 });
const bytes = fc.uint8Array({ maxLength: 1200 }).map((array) => Buffer.from(array));
const annotations = fc.dictionary(fc.domain(), bytes, { maxKeys: 6, noNullPrototype: true });

const messages: Readonly<Record<string, readonly [request: fc.Arbitrary<unknown>, response: fc.Arbitrary<unknown>]>> = {
  "/v2.KeyManagementService/Status": [fc.constant({}), record({ version: text, healthz: text, keyId: text })],
  "/v2.KeyManagementService/Encrypt": [
    record({ plaintext: bytes, uid: text }),
    record({ ciphertext: bytes, keyId: text, annotations }),
  ],
  "/v2.KeyManagementService/Decrypt": [
    record({ ciphertext: bytes, uid: text, keyId: text, annotations }),
    record({ plaintext: bytes }),
  ],
  "/v1beta1.KeyManagementService/Version": [
    record({ version: text }),
    record({ version: text, runtimeName: text, runtimeVersion: text }),
  ],
  "/v1beta1.KeyManagementService/Encrypt": [record({ version: text, plain: bytes }), record({ cipher: bytes })],
  "/v1beta1.KeyManagementService/Decrypt": [record({ version: text, cipher: bytes }), record({ plain: bytes })],
};

const packageObject = loadPackageDefinition(
  fromJSON(description as Parameters<typeof fromJSON>[0], { defaults: true }),
);
const ours = [...Object.values(kmsV2Service), ...Object.values(kmsV1Service)] as readonly UnaryMethod<
  unknown,
  unknown
>[];

function theirs(path: string): MethodDefinition<unknown, unknown> {
  const [, name = "", method = ""] = path.split("/");
  const version = (packageObject[name.split(".")[0] ?? ""] ?? {}) as Record<string, ServiceClientConstructor>;
  const found = version["KeyManagementService"]?.service[method];
  assert.ok(found, `protobufjs knows ${path}`);
  return found;
}

describe("the KMS messages", () => {
  it("are those of six methods", () => {
    assert.deepEqual(ours.map((method) => method.path).sort(), Object.keys(messages).sort());
  });

  for (const method of ours) {
    const peer = theirs(method.path);
    const [request, response] = messages[method.path] ?? [];
    assert.ok(request && response);
    it(`${method.path}: protobufjs reads what we write, and we read what protobufjs writes`, () => {
      fc.assert(
        fc.property(request, response, (requestMessage, responseMessage) => {
          assert.deepEqual(method.requestDeserialize(peer.requestSerialize(requestMessage)), requestMessage);
          assert.deepEqual(peer.requestDeserialize(method.requestSerialize(requestMessage)), requestMessage);
          assert.deepEqual(method.responseDeserialize(peer.responseSerialize(responseMessage)), responseMessage);
          assert.deepEqual(peer.responseDeserialize(method.responseSerialize(responseMessage)), responseMessage);
        }),
        { numRuns: 50 },
      );
    });
  }
});
