/** A KMS plugin, asked over its socket on a host the way that host's API server asks it. */
import { randomBytes } from "node:crypto";
import { describeError, KmsEtcdError } from "../../../core/errors";
import { type EncryptResponse, kmsV1Service, kmsV1Version, kmsV2Service } from "../../../core/kms-protocol";
import { type GrpcConnection, grpcConnection } from "../grpc/grpc-connection";
import type { Host } from "./host";

export interface KmsSocket {
  /** The key_id that Status reports. Throws `key-unusable` where it does not say that all is well. */
  keyId(): Promise<string>;
  encrypt(plaintext: Uint8Array): Promise<EncryptResponse>;
  decrypt(encrypted: EncryptResponse): Promise<Uint8Array>;
  close(): void;
}

/** Versions that API servers from 1.29 on take (apiserver encryptionconfig/config.go). */
const versions = ["v2", "v2beta1"];

/** Connects; `signal` bounds this and every call. */
export async function openKmsSocket(host: Host, path: string, signal: AbortSignal): Promise<KmsSocket> {
  const connection = await dial(host, path, signal);
  return {
    keyId: () => statusKeyId(connection, signal),
    encrypt: (plaintext) => connection.call(kmsV2Service.Encrypt, { plaintext, uid: uid() }, signal),
    decrypt: async ({ ciphertext, keyId, annotations }) => {
      const request = { ciphertext, keyId, annotations, uid: uid() };
      return (await connection.call(kmsV2Service.Decrypt, request, signal)).plaintext;
    },
    close: () => connection.close(),
  };
}

/** What an observation says of the plugin behind a socket: its key_id (v2), or why an API server can't use it. */
export async function askPlugin(
  host: Host,
  path: string,
  apiVersion: "v1" | "v2",
  signal: AbortSignal,
): Promise<{ readonly keyId: string | undefined; readonly problem: string | undefined }> {
  let connection: GrpcConnection | undefined;
  try {
    connection = await dial(host, path, signal);
    if (apiVersion === "v2") return { keyId: await statusKeyId(connection, signal), problem: undefined };
    // KMS v1 has no Status: that it answers with the right version is all there is to ask without using the key.
    const { version } = await connection.call(kmsV1Service.Version, { version: kmsV1Version }, signal);
    const problem = version === kmsV1Version ? undefined : `it speaks ${version}, not ${kmsV1Version}`;
    return { keyId: undefined, problem };
  } catch (thrown) {
    return { keyId: undefined, problem: describeError(thrown) };
  } finally {
    connection?.close();
  }
}

/** Why the plugin can't encrypt and decrypt; undefined where it can. KMS v1 shows that in no other way. */
export async function tryPlugin(
  host: Host,
  path: string,
  apiVersion: "v1" | "v2",
  signal: AbortSignal,
): Promise<string | undefined> {
  let connection: GrpcConnection | undefined;
  const plain = randomBytes(32);
  try {
    connection = await dial(host, path, signal);
    const decrypted =
      apiVersion === "v1"
        ? await thereAndBackV1(connection, plain, signal)
        : await thereAndBack(connection, plain, signal);
    return plain.equals(decrypted) ? undefined : "it does not decrypt what it has encrypted";
  } catch (thrown) {
    return describeError(thrown);
  } finally {
    connection?.close();
  }
}

async function thereAndBack(connection: GrpcConnection, plaintext: Buffer, signal: AbortSignal): Promise<Uint8Array> {
  const encrypted = await connection.call(kmsV2Service.Encrypt, { plaintext, uid: uid() }, signal);
  return (await connection.call(kmsV2Service.Decrypt, { ...encrypted, uid: uid() }, signal)).plaintext;
}

async function thereAndBackV1(connection: GrpcConnection, plain: Buffer, signal: AbortSignal): Promise<Uint8Array> {
  const version = kmsV1Version;
  const { cipher } = await connection.call(kmsV1Service.Encrypt, { version, plain }, signal);
  return (await connection.call(kmsV1Service.Decrypt, { version, cipher }, signal)).plain;
}

/** An answer is at most 1 kB of ciphertext and 32 kB of annotations; this is far above. */
const longestAnswer = 1 << 20;

async function dial(host: Host, path: string, signal: AbortSignal): Promise<GrpcConnection> {
  return grpcConnection(await host.dialSocket(path, signal), { peer: `${host.name}: ${path}`, longestAnswer });
}

async function statusKeyId(connection: GrpcConnection, signal: AbortSignal): Promise<string> {
  const { version, healthz, keyId } = await connection.call(kmsV2Service.Status, {}, signal);
  if (healthz !== "ok") throw new KmsEtcdError("key-unusable", `Status says: ${healthz.slice(0, 300)}`);
  if (!versions.includes(version))
    throw new KmsEtcdError("key-unusable", `Status has version "${version}", not v2 or v2beta1`);
  if (keyId === "") throw new KmsEtcdError("key-unusable", "Status has no key_id");
  return keyId;
}

/** Appears in the plugin's log, so that a probe can be told from an API server's call. */
function uid(): string {
  return `kms-etcd-${randomBytes(8).toString("hex")}`;
}
