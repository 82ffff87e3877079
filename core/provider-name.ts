/**
 * Names that must never be used twice. The provider name is part of every stored value's prefix
 * (`k8s:enc:kms:v2:<name>:`), so the same name for another key would make stored objects unreadable (invariant 6).
 */
import { createHash } from "node:crypto";
import { canonicalKey, type KeyReference } from "./key-reference";

const hexDigits = 12;

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, hexDigits);
}

/** The plugin instance for one key: pod name, socket name and log name on every host. */
export function pluginName(key: KeyReference): string {
  return `kms-etcd-${shortHash(canonicalKey(key))}`;
}

/**
 * The name of the KMS item for `key` in the block that encrypts `slot`. Two blocks need two names, because API servers
 * refuse a v2 name that stands twice (apiserver validation_encryption.go), hence the slot.
 * `slot` is the block's resources, sorted and joined by ",".
 */
export function providerName(apiVersion: "v1" | "v2", key: KeyReference, slot: string): string {
  return `kms-etcd-${shortHash(`${apiVersion}|${canonicalKey(key)}|${slot}`)}`;
}

/** Whether a provider's name has the form that `providerName` gives: then the engine made it. */
export function isOurProviderName(name: string): boolean {
  return ourName.test(name);
}

const ourName = new RegExp(`^kms-etcd-[0-9a-f]{${hexDigits}}$`);

/** The slot of a block of resources, as `providerName` wants it. */
export function resourceSlot(resources: readonly string[]): string {
  return [...resources].sort().join(",");
}
