/** A key in AWS KMS as a `KeyProvider`: what aws-encryption-provider does for one `--key`, byte for byte. */
import { KmsEtcdError } from "../../../core/errors";
import type { AwsPluginConfig, AwsPluginKey } from "../../config/aws";
import type { KeyProvider } from "../../key-provider";
import { blobOf, checkPlaintext, ciphertextOf } from "./ciphertext";
import type { KmsClient } from "./kms-client";
import type { KmsClients } from "./kms-clients";

/** What `probe` encrypts; not a secret. */
const probeText = Buffer.from("kms-etcd probe");

export function createAwsKmsProvider(
  key: AwsPluginKey,
  clients: KmsClients,
  config: Pick<AwsPluginConfig, "kmsEndpoint" | "sourceArn">,
  onClose: () => Promise<void>,
): KeyProvider {
  const { keyId, encryptionContext } = key;
  let client: KmsClient | undefined;

  async function connected(signal: AbortSignal): Promise<KmsClient> {
    client ??= await clients.clientFor(keyId, signal);
    return client;
  }

  async function encrypt(plaintext: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    checkPlaintext(plaintext);
    const kms = await connected(signal);
    return ciphertextOf(await kms.encrypt({ keyId, plaintext, encryptionContext, signal }));
  }

  async function decrypt(ciphertext: Uint8Array, version: "v1" | "v2", signal: AbortSignal): Promise<Uint8Array> {
    const blob = blobOf(ciphertext, version);
    const kms = await connected(signal);
    return kms.decrypt({ keyId, blob, encryptionContext, signal });
  }

  return {
    // Verbatim, because stored objects of the peer name it so, and an API server that finds another one rewrites them all.
    keyId,
    // What the peer says, and the one version that every API server from 1.27 to 1.36 takes: 1.27 and 1.28 refuse "v2".
    // A server also calls a plugin unhealthy whose version changes (apiserver encryptionconfig/config.go), so a cluster
    // can only move over to this plugin without a restart if it keeps saying the same.
    statusVersion: "v2beta1",
    get description() {
      const context = Object.entries(encryptionContext).map(([name, value]) => `${name}=${value}`);
      return {
        key: keyId,
        region: clients.regionOf(keyId) ?? "to be asked of the instance metadata service",
        endpoint: config.kmsEndpoint ?? "the region's own",
        credentials: "default provider chain",
        ...(context.length === 0 ? {} : { encryptionContext: context.join(",") }),
        ...(config.sourceArn === undefined ? {} : { sourceArn: config.sourceArn }),
      };
    },
    open: () => clients.prepare(keyId),
    async encrypt(plaintext, { signal }) {
      return { ciphertext: await encrypt(plaintext, signal), keyId, annotations: {} };
    },
    // key_id and annotations are not looked at, as with the peer: AWS KMS finds the key by the blob.
    decrypt: ({ ciphertext }, { kms, signal }) => decrypt(ciphertext, kms, signal),
    async probe(signal) {
      const ciphertext = await encrypt(probeText, signal);
      let plaintext: Uint8Array;
      try {
        plaintext = await decrypt(ciphertext, "v2", signal);
      } catch (thrown) {
        throw ofKey(thrown, keyId);
      }
      if (!probeText.equals(plaintext)) {
        throw new KmsEtcdError("key-unusable", `${keyId} does not give back what it encrypted`);
      }
    },
    close: onClose,
  };
}

/** In a probe the bytes are the key's own, so what would else be the caller's fault is the key's. */
function ofKey(thrown: unknown, keyId: string): unknown {
  if (!(thrown instanceof KmsEtcdError) || (thrown.code !== "corrupt" && thrown.code !== "invalid-input"))
    return thrown;
  return new KmsEtcdError("key-unusable", `${keyId} does not decrypt what it has just encrypted: ${thrown.message}`, {
    cause: thrown,
  });
}
