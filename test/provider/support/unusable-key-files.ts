/** Files that must not be taken for a key to sign reports with: how each comes to be, and what is said of it. */
import { writeFileSync } from "node:fs";

export interface UnusableKeyFile {
  make(): void;
  readonly said: RegExp;
}

/** In this order: there is nothing at `path` before the first. */
export function unusableKeyFiles(path: string, privateKey: string): readonly UnusableKeyFile[] {
  return [
    { make: () => undefined, said: /cannot be read \(ENOENT\)/ },
    { make: () => writeFileSync(path, privateKey, { mode: 0o644 }), said: /has mode 0644.*chmod 600/ },
  ];
}
