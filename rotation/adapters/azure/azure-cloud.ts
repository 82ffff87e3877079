/** The addresses of an Azure cloud, as the environment names it: in the words of azure-native (ARM_*), and of the Azure SDKs (AZURE_*). */
import { KmsEtcdError } from "../../../core/errors";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface AzureCloud {
  /** Where tokens come from. */
  readonly authorityHost: string;
  /** Microsoft Graph, without a slash at the end. */
  readonly graph: string;
  /** Azure Resource Manager, without a slash at the end. */
  readonly resourceManager: string;
  /** Domains of key vaults and of managed HSMs. */
  readonly vaults: string;
  readonly managedHsms: string;
}

const clouds: Readonly<Record<string, AzureCloud>> = {
  public: {
    authorityHost: "https://login.microsoftonline.com",
    graph: "https://graph.microsoft.com",
    resourceManager: "https://management.azure.com",
    vaults: "vault.azure.net",
    managedHsms: "managedhsm.azure.net",
  },
  usgovernment: {
    authorityHost: "https://login.microsoftonline.us",
    graph: "https://graph.microsoft.us",
    resourceManager: "https://management.usgovcloudapi.net",
    vaults: "vault.usgovcloudapi.net",
    managedHsms: "managedhsm.usgovcloudapi.net",
  },
  china: {
    authorityHost: "https://login.chinacloudapi.cn",
    graph: "https://microsoftgraph.chinacloudapi.cn",
    resourceManager: "https://management.chinacloudapi.cn",
    vaults: "vault.azure.cn",
    managedHsms: "managedhsm.azure.cn",
  },
};

/** The cloud of ARM_ENVIRONMENT, the public one by default; AZURE_AUTHORITY_HOST names another place for tokens. */
export function azureCloud(environment: Environment): AzureCloud {
  const name = environment["ARM_ENVIRONMENT"] ?? "";
  // azure-native takes AzureUSGovernmentCloud for usgovernment as well.
  const cloud = clouds[name === "" ? "public" : name.toLowerCase().replace(/^azure(.*)cloud$/, "$1")];
  if (cloud === undefined) {
    throw new KmsEtcdError("invalid-input", `ARM_ENVIRONMENT is ${JSON.stringify(name)}, which is no Azure cloud`, {
      remedy: `set it to ${Object.keys(clouds).join(", ")}, or not at all`,
    });
  }
  const authorityHost = environment["AZURE_AUTHORITY_HOST"];
  return authorityHost === undefined || authorityHost === "" ? cloud : { ...cloud, authorityHost };
}
