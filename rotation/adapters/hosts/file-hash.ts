/** The one form in which files are compared: that of the API server's own last_config_info metric. */
import { createHash } from "node:crypto";

/** `sha256:<hex>` of the bytes. */
export function fileHash(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
