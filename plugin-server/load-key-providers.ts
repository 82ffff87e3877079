/**
 * Loads the one key provider that is configured: an SDK takes longer to load than everything else together. `require`,
 * because the load must wait for the configuration and `import()` can't load a CommonJS folder.
 */
import type { PluginConfig } from "./config/plugin-config";
import type { KeyProvider } from "./key-provider";
import type * as awsKms from "./providers/aws-kms";
import type * as azureKeyVault from "./providers/azure-key-vault";
import type * as localKey from "./providers/local-key";

/* eslint-disable @typescript-eslint/no-require-imports -- see above */

/** One provider for each socket, in the order of the sockets. */
export function loadKeyProviders(config: PluginConfig): readonly KeyProvider[] {
  switch (config.kind) {
    case "azure": {
      const { createAzureKeyVaultProvider } = require("./providers/azure-key-vault") as typeof azureKeyVault;
      return [createAzureKeyVaultProvider(config)];
    }
    case "aws": {
      const { createAwsKmsProviders } = require("./providers/aws-kms") as typeof awsKms;
      return createAwsKmsProviders(config);
    }
    case "local": {
      const { createLocalKeyProvider } = require("./providers/local-key") as typeof localKey;
      return [createLocalKeyProvider(config)];
    }
  }
}
