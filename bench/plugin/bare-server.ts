/** What a KMS plugin over grpc-js costs at least: our codec, AES, and nothing else. The plugin is measured beside it. */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import {
  type DecryptRequest,
  type DecryptResponse,
  type Empty,
  type EncryptRequest,
  type EncryptResponse,
  kmsV2Service,
  type StatusResponse,
} from "../../core/kms-protocol";

const key = createSecretKey(randomBytes(32));
const keyId = "local-0123456789abcdef0123456789abcdef";
const boundData = Buffer.from(keyId);

const status: handleUnaryCall<Empty, StatusResponse> = (_call, callback) => {
  callback(null, { version: "v2", healthz: "ok", keyId });
};
const encrypt: handleUnaryCall<EncryptRequest, EncryptResponse> = ({ request }, callback) => {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(boundData);
  const data = cipher.update(request.plaintext);
  cipher.final();
  callback(null, {
    ciphertext: Buffer.concat([Buffer.of(1), nonce, data, cipher.getAuthTag()]),
    keyId,
    annotations: {},
  });
};
const decrypt: handleUnaryCall<DecryptRequest, DecryptResponse> = ({ request: { ciphertext } }, callback) => {
  const decipher = createDecipheriv("aes-256-gcm", key, ciphertext.subarray(1, 13), { authTagLength: 16 });
  decipher.setAAD(boundData).setAuthTag(ciphertext.subarray(-16));
  const plaintext = decipher.update(ciphertext.subarray(13, -16));
  decipher.final();
  callback(null, { plaintext });
};

const server = new Server({ "grpc.enable_channelz": 0 });
server.addService(kmsV2Service, { Status: status, Encrypt: encrypt, Decrypt: decrypt });
server.bindAsync(`unix:${process.argv[2] ?? ""}`, ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
