/**
 * Retires a version of a key in Key Vault by disabling it, and marks it, so that reinstating it enables none that somebody else has
 * disabled for a reason of their own.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { AzureKeyReference } from "../../../core/key-reference";
import type { KeyCustody } from "../../key-custody";
import type { AzureClients } from "./azure-clients";
import type { AzureCloud } from "./azure-cloud";

/** A tag of the version. Never change it: versions that carry it could not be reinstated any more. */
const retiredTag = "kms-etcd-retired";

export function azureKeyCustody(clients: () => AzureClients, cloud: () => AzureCloud): KeyCustody<AzureKeyReference> {
  const idOf = ({ vaultName, keyName, keyVersion, managedHsm }: AzureKeyReference): string => {
    const { vaults, managedHsms } = cloud();
    return `https://${vaultName}.${managedHsm === true ? managedHsms : vaults}/keys/${keyName}/${keyVersion}`;
  };
  return {
    async retire(key, signal) {
      const keyId = idOf(key);
      const { keys } = clients();
      const found = await keys.attributesOf(keyId, signal);
      if (found === undefined) {
        throw new KmsEtcdError("not-found", `there is no key version ${keyId}`, {
          remedy: "have it back from the vault's deleted keys, or declare the version no longer",
        });
      }
      if (!found.enabled) return;
      await keys.setAttributes(keyId, { enabled: false, tags: { ...found.tags, [retiredTag]: "true" } }, signal);
    },
    async reinstate(key, signal) {
      const keyId = idOf(key);
      const { keys } = clients();
      const found = await keys.attributesOf(keyId, signal).catch((thrown: unknown) => {
        // Whoever may not look at the key can't have retired it, and the plugins say when they can't use it.
        if (thrown instanceof KmsEtcdError && ["permission-denied", "unreachable"].includes(thrown.code))
          return undefined;
        throw thrown;
      });
      if (found === undefined || found.enabled || found.tags?.[retiredTag] === undefined) return;
      const { [retiredTag]: _mark, ...tags } = found.tags;
      await keys.setAttributes(keyId, { enabled: true, tags }, signal);
    },
  };
}
