/** Which provider an API server with a given configuration encrypts a resource with. */
import { type EncryptionConfiguration, writerOf } from "../../../core/encryption-configuration";
import { resourceBlock } from "../../../core/resource-block";
import type { ProviderId } from "../../../core/write-key";

/** `resource` may be a wildcard: then it is its block's. */
export function resourceWriter(config: EncryptionConfiguration, resource: string): ProviderId {
  return writerOf(resourceBlock(config, resource)?.providers ?? []);
}
