/** What a cluster has that never heard of encryption, in a form that the API server can reload. */
import { stringify } from "yaml";
import { encryptionConfigurationDocument } from "../../core/encryption-configuration";

/** `identity` for Secrets, as YAML. */
export function plaintextEncryptionConfig(): string {
  return stringify(
    encryptionConfigurationDocument({ blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" }] }] }),
  );
}
