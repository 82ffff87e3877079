/** The `encryptionconfig` secret: the text that nodeup writes, byte for byte, into every API server's configuration file. */
import { createHash } from "node:crypto";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { parseEncryptionConfig, renderEncryptionConfig } from "../hosts/encryption-config-file";

/** Throws `invalid-input`, never with a part of the text: kOps itself takes any YAML map, whatever its kind. */
export function readSecretText(text: string): EncryptionConfiguration {
  return parseEncryptionConfig(text);
}

/** The text for `config`; comments and order of the present one stay where they can. */
export function secretText(config: EncryptionConfiguration, present: string | undefined): string {
  return renderEncryptionConfig(config, present);
}

/** As an API server's own metric names what it has loaded: `sha256:<hex>`. */
export function secretHash(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
}

/** The same hash as a machine's nodeup configuration has it: base64url with padding (kops apply_cluster.go). */
export function nodeupSecretHash(hash: string): string {
  return `${Buffer.from(hash.replace(/^sha256:/, ""), "hex").toString("base64url")}=`;
}
