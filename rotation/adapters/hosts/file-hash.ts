/** The one form in which files are compared: that of the API server's own last_config_info metric. */
import { createHash } from "node:crypto";

/** `sha256:<hex>` of the bytes. */
export function fileHash(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

const form = /^sha256:[0-9a-f]{64}$/;

/** Whether a value that was read from a file is such a hash. */
export function isFileHash(value: unknown): value is string {
  return typeof value === "string" && form.test(value);
}
