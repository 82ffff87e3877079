/** Where Entra and Key Vault are in each Azure cloud. Names as azure.json's `cloud` has them (go-autorest environments.go). */
import { readFile } from "node:fs/promises";
import { KmsEtcdError } from "../../../core/errors";

export interface KeyService {
  /** Vault names are put before it: `https://<vault>.<dnsSuffix>`. */
  readonly dnsSuffix: string;
  /** The audience of tokens for it. */
  readonly resource: string;
}

export interface AzureCloud {
  readonly name: string;
  /** Entra's login host, `https://...` without a slash at the end. */
  readonly authority: string;
  readonly vault: KeyService;
  /** Undefined where the cloud has no managed HSM. */
  readonly managedHsm: KeyService | undefined;
  /** Whether the login host has to be believed as it is, because Microsoft's list of login hosts does not have it. */
  readonly privateAuthority: boolean;
}

const publicCloud = cloud("AzurePublicCloud", "login.microsoftonline.com", "vault.azure.net", "managedhsm.azure.net");
const chinaCloud = cloud("AzureChinaCloud", "login.chinacloudapi.cn", "vault.azure.cn", "managedhsm.azure.cn");
const governmentCloud = cloud(
  "AzureUSGovernmentCloud",
  "login.microsoftonline.us",
  "vault.usgovcloudapi.net",
  "managedhsm.usgovcloudapi.net",
);

const cloudsByName: Readonly<Record<string, AzureCloud>> = {
  "": publicCloud,
  azurecloud: publicCloud,
  azurepubliccloud: publicCloud,
  azurechinacloud: chinaCloud,
  azureusgovernment: governmentCloud,
  azureusgovernmentcloud: governmentCloud,
  azuregermancloud: cloud("AzureGermanCloud", "login.microsoftonline.de", "vault.microsoftazure.de", undefined),
};

/** The variable in which Azure Stack's tools name the file with the endpoints of a private cloud. */
const stackFileVariable = "AZURE_ENVIRONMENT_FILEPATH";

/** The cloud that azure.json names. Throws `invalid-input` or `not-found`, naming the field or the file. */
export async function findCloud(name: string, environment: NodeJS.ProcessEnv): Promise<AzureCloud> {
  const lowerCased = name.trim().toLowerCase();
  const found = lowerCased === "azurestackcloud" ? await readStackCloud(environment) : cloudsByName[lowerCased];
  if (found === undefined) {
    throw new KmsEtcdError("invalid-input", "azure.json: cloud names no Azure cloud", {
      remedy: "write AzurePublicCloud, AzureChinaCloud, AzureUSGovernmentCloud, AzureGermanCloud or AzureStackCloud",
    });
  }
  // The variable of the Azure SDKs; the workload identity webhook sets it to the cluster's cloud.
  const override = environment["AZURE_AUTHORITY_HOST"];
  if (override === undefined || override === "") return found;
  const authority = httpsOrigin(override, "the environment variable AZURE_AUTHORITY_HOST");
  return authority === found.authority
    ? found
    : { ...found, authority, privateAuthority: !isKnownAuthority(authority) };
}

function cloud(name: string, loginHost: string, vaultSuffix: string, hsmSuffix: string | undefined): AzureCloud {
  return {
    name,
    authority: `https://${loginHost}`,
    vault: keyService(vaultSuffix),
    managedHsm: hsmSuffix === undefined ? undefined : keyService(hsmSuffix),
    privateAuthority: false,
  };
}

function keyService(dnsSuffix: string): KeyService {
  return { dnsSuffix, resource: `https://${dnsSuffix}` };
}

function isKnownAuthority(authority: string): boolean {
  return Object.values(cloudsByName).some((known) => known.authority === authority);
}

async function readStackCloud(environment: NodeJS.ProcessEnv): Promise<AzureCloud> {
  const file = environment[stackFileVariable];
  if (file === undefined || file === "") {
    throw new KmsEtcdError(
      "invalid-input",
      `azure.json: cloud is AzureStackCloud, and ${stackFileVariable} is not set`,
      {
        remedy: `let the environment variable ${stackFileVariable} name the file with the endpoints of your cloud`,
      },
    );
  }
  const document = await readDocument(file);
  const vaultSuffix = text(document, "keyVaultDNSSuffix", file);
  const hsmSuffix = optionalText(document["managedHSMDNSSuffix"]);
  const resources = isRecord(document["resourceIdentifiers"]) ? document["resourceIdentifiers"] : {};
  return {
    name: "AzureStackCloud",
    authority: httpsOrigin(text(document, "activeDirectoryEndpoint", file), `${file}: activeDirectoryEndpoint`),
    vault: {
      dnsSuffix: vaultSuffix,
      resource: withoutSlash(
        optionalText(resources["keyVault"]) ?? optionalText(document["keyVaultEndpoint"]) ?? `https://${vaultSuffix}`,
      ),
    },
    managedHsm:
      hsmSuffix === undefined
        ? undefined
        : {
            dnsSuffix: hsmSuffix,
            resource: withoutSlash(
              optionalText(resources["managedHSM"]) ??
                optionalText(document["managedHSMEndpoint"]) ??
                `https://${hsmSuffix}`,
            ),
          },
    privateAuthority: true,
  };
}

async function readDocument(file: string): Promise<Readonly<Record<string, unknown>>> {
  let document: unknown;
  try {
    document = JSON.parse(await readFile(file, "utf8"));
  } catch (cause) {
    throw new KmsEtcdError("invalid-input", `${file}, named by ${stackFileVariable}, cannot be read as JSON`, {
      remedy: "see whether the file exists and is the endpoint file of your cloud",
      cause,
    });
  }
  if (isRecord(document)) return document;
  throw new KmsEtcdError("invalid-input", `${file}, named by ${stackFileVariable}, is not a JSON object`);
}

function text(document: Readonly<Record<string, unknown>>, field: string, file: string): string {
  const value = optionalText(document[field]);
  if (value !== undefined) return value;
  throw new KmsEtcdError("invalid-input", `${file}: ${field} is missing`, {
    remedy: "write it as your cloud's operator gives it",
  });
}

function httpsOrigin(value: string, input: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol === "https:") return url.origin;
  throw new KmsEtcdError("invalid-input", `${input} is not an https address`, {
    remedy: "write the login host as https://host/",
  });
}

function withoutSlash(value: string): string {
  return value.replace(/\/+$/, "");
}

function optionalText(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
