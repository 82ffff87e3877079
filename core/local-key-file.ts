/**
 * The file that holds a local key (development only): a line that says the format, and a line with the 256-bit key in
 * hexadecimal. The Pulumi provider writes it, the plugin reads it. The key itself appears nowhere else.
 */
import { createHash } from "node:crypto";
import { KmsEtcdError } from "./errors";

export const localKeyBytes = 32;
/** Of the key file: its owner alone. */
export const localKeyFileMode = 0o600;

const header = "kms-etcd local key v1";

/** Where the key file of a retired key is: plugins do not look there, and nothing of it is lost. */
export function retiredKeyFile(file: string): string {
  return `${file}.retired`;
}

/** The file's content for a key. */
export function formatLocalKeyFile(key: Uint8Array): string {
  if (key.length !== localKeyBytes) {
    throw new KmsEtcdError("invalid-input", `a local key has ${key.length} bytes`, {
      remedy: `give it ${localKeyBytes} random bytes`,
    });
  }
  return `${header}\n${Buffer.from(key).toString("hex")}\n`;
}

/** The key in a file's content. Throws `invalid-input`, naming `path` and never what stands in the file. */
export function parseLocalKeyFile(content: string, path: string): Buffer {
  const lines = content.trimEnd().split("\n");
  if (lines[0]?.trimEnd() !== header) {
    throw new KmsEtcdError("invalid-input", `${path} is no local key file: its first line is not "${header}"`, {
      remedy,
    });
  }
  const digits = lines[1]?.trim() ?? "";
  if (lines.length !== 2 || !/^[0-9a-f]{64}$/i.test(digits)) {
    throw new KmsEtcdError(
      "invalid-input",
      `${path}: after the first line there must be one line of 64 hexadecimal digits`,
      {
        remedy,
      },
    );
  }
  return Buffer.from(digits, "hex");
}

/** What the plugin reports as key_id for a key. It tells nothing about the key and is the same on every host. */
export function localKeyId(key: Uint8Array): string {
  // The label keeps this digest apart from any other use of a hash over the key.
  return `local-${createHash("sha256").update(header).update(key).digest("hex").slice(0, 32)}`;
}

const remedy = `create one with: (umask 077; { echo "${header}"; head -c ${localKeyBytes} /dev/urandom | od -An -vtx1 | tr -d " \\n"; echo; } > FILE)`;
