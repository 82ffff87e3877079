/** Which provider an API server with a given configuration encrypts a resource with. */
import { type EncryptionConfiguration, writerOf } from "../../../core/encryption-configuration";
import type { ProviderId } from "../../../core/write-key";

/**
 * The first block that names the resource decides, then one with its group's wildcard, then `*.*`; a resource that no block
 * covers is stored in plaintext (apiserver encryptionconfig/config.go). `resource` may be a wildcard: then it is its block's.
 */
export function resourceWriter(config: EncryptionConfiguration, resource: string): ProviderId {
  const dot = resource.indexOf(".");
  const group = dot < 0 ? "" : resource.slice(dot + 1);
  for (const name of [resource, `*.${group}`, "*.*"]) {
    const block = config.blocks.find((candidate) => candidate.resources.includes(name));
    if (block !== undefined) return writerOf(block.providers);
  }
  return writerOf([]);
}
