/**
 * The two gRPC services that an API server calls on a KMS plugin: `v2.KeyManagementService` and the deprecated
 * `v1beta1.KeyManagementService` (k8s.io/kms apis/v2/api.proto and apis/v1beta1/api.proto). The definitions are plain
 * objects that the plugin's server, the engine's client and grpc-js take, so the plugin serves and the engine probes with the same code.
 */
import { type BytesMap, type MessageCodec, messageCodec } from "./protobuf";

/** Limits that API servers enforce on KMS v2 answers (apiserver kmsv2/envelope.go). */
export const kmsV2Limits = { keyIdBytes: 1024, ciphertextBytes: 1024, annotationBytes: 32 * 1024 } as const;

/** A message without fields. */
export type Empty = object;

export interface StatusResponse {
  /** "v2", or "v2beta1" which API servers from 1.27 to today accept. */
  readonly version: string;
  /** "ok", or why not. */
  readonly healthz: string;
  readonly keyId: string;
}

export interface EncryptRequest {
  readonly plaintext: Uint8Array;
  readonly uid: string;
}

export interface EncryptResponse {
  readonly ciphertext: Uint8Array;
  readonly keyId: string;
  readonly annotations: BytesMap;
}

export interface DecryptRequest {
  readonly ciphertext: Uint8Array;
  readonly uid: string;
  readonly keyId: string;
  readonly annotations: BytesMap;
}

export interface DecryptResponse {
  readonly plaintext: Uint8Array;
}

export interface VersionRequest {
  readonly version: string;
}

export interface VersionResponse {
  readonly version: string;
  readonly runtimeName: string;
  /** Must be a semantic version. */
  readonly runtimeVersion: string;
}

export interface EncryptRequestV1 {
  readonly version: string;
  readonly plain: Uint8Array;
}

export interface EncryptResponseV1 {
  readonly cipher: Uint8Array;
}

export interface DecryptRequestV1 {
  readonly version: string;
  readonly cipher: Uint8Array;
}

export interface DecryptResponseV1 {
  readonly plain: Uint8Array;
}

/** One unary method, in the shape that grpc-js asks for. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestStream: false;
  readonly responseStream: false;
  readonly requestSerialize: (message: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (message: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

function unary<Request, Response>(
  path: string,
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
): UnaryMethod<Request, Response> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: request.encode,
    requestDeserialize: request.decode,
    responseSerialize: response.encode,
    responseDeserialize: response.decode,
  };
}

/** What `v1beta1` requests carry in `version`, and what the answer must carry. */
export const kmsV1Version = "v1beta1";

export const kmsV2Service = {
  Status: unary(
    "/v2.KeyManagementService/Status",
    messageCodec<Empty>({}),
    messageCodec<StatusResponse>({
      version: { number: 1, type: "string" },
      healthz: { number: 2, type: "string" },
      keyId: { number: 3, type: "string" },
    }),
  ),
  Encrypt: unary(
    "/v2.KeyManagementService/Encrypt",
    messageCodec<EncryptRequest>({ plaintext: { number: 1, type: "bytes" }, uid: { number: 2, type: "string" } }),
    messageCodec<EncryptResponse>({
      ciphertext: { number: 1, type: "bytes" },
      keyId: { number: 2, type: "string" },
      annotations: { number: 3, type: "bytesMap" },
    }),
  ),
  Decrypt: unary(
    "/v2.KeyManagementService/Decrypt",
    messageCodec<DecryptRequest>({
      ciphertext: { number: 1, type: "bytes" },
      uid: { number: 2, type: "string" },
      keyId: { number: 3, type: "string" },
      annotations: { number: 4, type: "bytesMap" },
    }),
    messageCodec<DecryptResponse>({ plaintext: { number: 1, type: "bytes" } }),
  ),
} as const;

export const kmsV1Service = {
  Version: unary(
    "/v1beta1.KeyManagementService/Version",
    messageCodec<VersionRequest>({ version: { number: 1, type: "string" } }),
    messageCodec<VersionResponse>({
      version: { number: 1, type: "string" },
      runtimeName: { number: 2, type: "string" },
      runtimeVersion: { number: 3, type: "string" },
    }),
  ),
  Encrypt: unary(
    "/v1beta1.KeyManagementService/Encrypt",
    messageCodec<EncryptRequestV1>({ version: { number: 1, type: "string" }, plain: { number: 2, type: "bytes" } }),
    messageCodec<EncryptResponseV1>({ cipher: { number: 1, type: "bytes" } }),
  ),
  Decrypt: unary(
    "/v1beta1.KeyManagementService/Decrypt",
    messageCodec<DecryptRequestV1>({ version: { number: 1, type: "string" }, cipher: { number: 2, type: "bytes" } }),
    messageCodec<DecryptResponseV1>({ plain: { number: 1, type: "bytes" } }),
  ),
} as const;
