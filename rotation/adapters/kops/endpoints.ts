/** Which plugins a configuration asks. */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";

/** `unix://` endpoints of its KMS providers. */
export function endpointsOf(config: EncryptionConfiguration): ReadonlySet<string> {
  const items = config.blocks.flatMap((block) => block.providers);
  return new Set(items.flatMap((item) => (item.kind === "kms" ? [item.endpoint] : [])));
}
