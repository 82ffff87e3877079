/** Which block of an EncryptionConfiguration an API server stores a resource by. */
import type { EncryptionConfiguration, ResourceBlock } from "./encryption-configuration";

/**
 * The first block that names the resource decides, then one with its group's wildcard, then `*.*`; undefined for a resource that
 * no block covers, which is stored in plaintext (apiserver encryptionconfig/config.go, transformerFromOverrides). `resource` may
 * be a wildcard: then it is its own block, or that of the wider one.
 */
export function resourceBlock(config: EncryptionConfiguration, resource: string): ResourceBlock | undefined {
  for (const name of [resource, `*.${groupOf(resource)}`, "*.*"]) {
    const block = config.blocks.find(({ resources }) => resources.includes(name));
    if (block !== undefined) return block;
  }
  return undefined;
}

/** `*.*` covers all, `*.` the core group, `*.apps` a group, and nothing covers itself (apiserver encryptionconfig/config.go). */
export function covers(pattern: string, resource: string): boolean {
  if (pattern === resource || !pattern.startsWith("*.")) return false;
  return pattern === "*.*" || pattern.slice(2) === groupOf(resource);
}

/** The part after the first dot, as schema.ParseGroupResource has it. */
function groupOf(resource: string): string {
  const dot = resource.indexOf(".");
  return dot < 0 ? "" : resource.slice(dot + 1);
}
