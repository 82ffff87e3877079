/** Loads the one key provider that is configured: an SDK takes longer to load than everything else together. */
import type { PluginConfig } from "./config/plugin-config";
import type { KeyProvider } from "./key-provider";

/** One provider for each socket, in the order of the sockets. */
export function loadKeyProviders(config: PluginConfig): readonly KeyProvider[] {
  switch (config.kind) {
    case "azure": {
      const { createAzureKeyVaultProvider } =
        require("./providers/azure-key-vault") as typeof import("./providers/azure-key-vault");
      return [createAzureKeyVaultProvider(config)];
    }
    case "aws": {
      const { createAwsKmsProviders } = require("./providers/aws-kms") as typeof import("./providers/aws-kms");
      return createAwsKmsProviders(config);
    }
    case "local": {
      const { createLocalKeyProvider } = require("./providers/local-key") as typeof import("./providers/local-key");
      return [createLocalKeyProvider(config)];
    }
  }
}
