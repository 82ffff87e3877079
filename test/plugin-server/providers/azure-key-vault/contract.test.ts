import { createAzureKeyVaultProvider } from "../../../../plugin-server/providers/azure-key-vault";
import { keyProviderContract } from "../../contract/key-provider.contract";
import { type AzureHost, startAzureHost } from "./azure-host";

describe("the Azure Key Vault provider", function () {
  this.timeout(20_000);
  let host: AzureHost;
  before(async () => {
    host = await startAzureHost();
  });
  after(() => host.close());

  keyProviderContract("Azure Key Vault", {
    create: () => createAzureKeyVaultProvider(host.config(), { connect: host.azure.connect, environment: {} }),
    createOther: () => {
      const other = host.vault.keys.find("otherkey", "") ?? host.vault.keys.add({ name: "otherkey" });
      return createAzureKeyVaultProvider(host.config({ keyName: other.name, keyVersion: other.version }), {
        connect: host.azure.connect,
        environment: {},
      });
    },
    checksKeyId: true,
    plaintextSizes: [1, 100, 190],
    disable: async () => {
      host.key.enabled = false;
      return async () => {
        host.key.enabled = true;
      };
    },
  });
});
