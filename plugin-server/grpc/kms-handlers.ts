/** The two KMS services over one key: wire messages to the key provider and back, with the limits of each field. */
import { KmsEtcdError } from "../../core/errors";
import {
  type DecryptRequest,
  type DecryptRequestV1,
  type DecryptResponse,
  type DecryptResponseV1,
  type Empty,
  type EncryptRequest,
  type EncryptRequestV1,
  type EncryptResponse,
  type EncryptResponseV1,
  kmsV1Version,
  type StatusResponse,
  type VersionRequest,
  type VersionResponse,
} from "../../core/kms-protocol";
import type { CallContext } from "../key-provider";
import type { ServedKey } from "./served-key";
import { unaryHandler } from "./unary-handler";

/** API servers encrypt 32 bytes; this is what AWS KMS takes at most, so what data written by the upstream plugin may hold. */
export const plaintextLimit = 4_096;
/** AWS KMS' limit for a CiphertextBlob, and the version byte before it. */
export const ciphertextLimit = 6_145;

export function kmsV2Handlers(key: ServedKey) {
  const { provider, health } = key;
  return {
    Status: unaryHandler<Empty, StatusResponse>(key, "v2", "status", noUid, async (_request, call) => {
      // A key that can't be used makes Status fail: API servers go on writing under a bad `healthz` (kubernetes#138950).
      if (health.v2.state() !== "usable") await health.v2.check(call.signal);
      return { version: provider.statusVersion, healthz: "ok", keyId: provider.keyId };
    }),
    Encrypt: unaryHandler<EncryptRequest, EncryptResponse>(key, "v2", "encrypt", uid, (request, call) =>
      encrypt(key, request.plaintext, call),
    ),
    Decrypt: unaryHandler<DecryptRequest, DecryptResponse>(key, "v2", "decrypt", uid, async (request, call) => ({
      plaintext: await decrypt(key, request, call),
    })),
  };
}

export function kmsV1Handlers(key: ServedKey) {
  const { runtimeName, runtimeVersion } = key;
  return {
    Version: unaryHandler<VersionRequest, VersionResponse>(key, "v1", "version", noUid, () =>
      Promise.resolve({ version: kmsV1Version, runtimeName, runtimeVersion }),
    ),
    Encrypt: unaryHandler<EncryptRequestV1, EncryptResponseV1>(key, "v1", "encrypt", noUid, async (request, call) => ({
      cipher: (await encrypt(key, request.plain, call)).ciphertext,
    })),
    Decrypt: unaryHandler<DecryptRequestV1, DecryptResponseV1>(key, "v1", "decrypt", noUid, async (request, call) => ({
      plain: await decrypt(key, { ciphertext: request.cipher, keyId: "", annotations: {} }, call),
    })),
  };
}

const noUid = () => "";
const uid = (request: { readonly uid: string }) => request.uid;

async function encrypt(key: ServedKey, plaintext: Uint8Array, call: CallContext): Promise<EncryptResponse> {
  refuseSize("plaintext", plaintext, plaintextLimit);
  if (call.kms === "v1") key.health.usedByV1();
  return key.provider.encrypt(plaintext, call);
}

async function decrypt(key: ServedKey, request: Omit<DecryptRequest, "uid">, call: CallContext): Promise<Uint8Array> {
  refuseSize("ciphertext", request.ciphertext, ciphertextLimit);
  if (call.kms === "v1") key.health.usedByV1();
  return key.provider.decrypt(request, call);
}

function refuseSize(what: string, bytes: Uint8Array, limit: number): void {
  if (bytes.length === 0) throw new KmsEtcdError("invalid-input", `the request has an empty ${what}`);
  if (bytes.length > limit) {
    throw new KmsEtcdError("invalid-input", `the request's ${what} has ${bytes.length} bytes, more than ${limit}`);
  }
}
