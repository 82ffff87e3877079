/** A KMS plugin on a unix socket: a grpc-js server that does what a test tells it. "Encrypts" by XOR with one byte. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server, ServerCredentials, type ServerUnaryCall, type ServiceError, type sendUnaryData } from "@grpc/grpc-js";
import {
  type DecryptRequest,
  type DecryptRequestV1,
  type EncryptRequest,
  type EncryptRequestV1,
  kmsV1Service,
  kmsV2Service,
  type StatusResponse,
} from "../../../../core/kms-protocol";

export interface PlainPlugin {
  readonly socketPath: string;
  /** What Status answers; a test may change it. */
  status: StatusResponse;
  /** Thrown at every call, or undefined. */
  refusal: Partial<ServiceError> | undefined;
  /** The same at Encrypt and Decrypt alone. */
  keyRefusal: Partial<ServiceError> | undefined;
  /** Leaves every call without an answer. */
  hang: boolean;
  close(): Promise<void>;
}

export async function plainPlugin(keyId: string, mask: number): Promise<PlainPlugin> {
  const directory = mkdtempSync(join(tmpdir(), "kms-"));
  const plugin: PlainPlugin = {
    socketPath: join(directory, "s"),
    status: { version: "v2", healthz: "ok", keyId },
    refusal: undefined,
    keyRefusal: undefined,
    hang: false,
    close: async () => {
      server.forceShutdown();
      rmSync(directory, { recursive: true });
    },
  };
  const masked = (bytes: Uint8Array) => Buffer.from(bytes.map((byte) => byte ^ mask));
  const handle =
    <Q, A>(answer: (request: Q) => A, usesKey = true) =>
    (call: ServerUnaryCall<Q, A>, done: sendUnaryData<A>) => {
      if (plugin.hang) return;
      const refusal = plugin.refusal ?? (usesKey ? plugin.keyRefusal : undefined);
      if (refusal !== undefined) done(refusal);
      else done(null, answer(call.request));
    };
  const server = new Server();
  server.addService(kmsV2Service, {
    Status: handle(() => plugin.status, false),
    Encrypt: handle((request: EncryptRequest) => ({
      ciphertext: Buffer.concat([Buffer.from([mask]), masked(request.plaintext)]),
      keyId: plugin.status.keyId,
      annotations: { "nonce.test.example": randomBytes(8) },
    })),
    Decrypt: handle((request: DecryptRequest) => ({ plaintext: masked(request.ciphertext.subarray(1)) })),
  });
  server.addService(kmsV1Service, {
    Version: handle(() => ({ version: "v1beta1", runtimeName: "plain", runtimeVersion: "1.0.0" }), false),
    Encrypt: handle((request: EncryptRequestV1) => ({ cipher: masked(request.plain) })),
    Decrypt: handle((request: DecryptRequestV1) => ({ plain: masked(request.cipher) })),
  });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${plugin.socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return plugin;
}
