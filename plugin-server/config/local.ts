/** The flags of a key in a local file: for development and for this project's own tests. */
import type { OperationConfig } from "./plugin-config";

export interface LocalPluginConfig {
  readonly kind: "local";
  readonly operation: OperationConfig;
  /** Absolute path of the key file, in the form of core/local-key-file.ts. */
  readonly keyFile: string;
}
