/** Pulumi's mocks with just enough of Azure: ids and names of what is made, and answers of look-ups. */
import * as pulumi from "@pulumi/pulumi";

// The SDK keeps its state in a global that it makes when first asked; mocha looks for new globals from the first test on.
void pulumi.runtime.isDryRun();

export const subscriptionId = "00000000-0000-4000-8000-000000000001";
export const deployerObjectId = "dddddddd-0000-4000-8000-000000000001";
export const group = `/subscriptions/${subscriptionId}/resourceGroups/rg/providers`;
export const vaultId = `${group}/Microsoft.KeyVault/vaults/found-vault`;
export const keyVersion = (version: number) => `${version}`.padStart(32, "0");

export interface Registered {
  readonly type: string;
  readonly name: string;
  readonly inputs: Record<string, unknown>;
}

export interface RecordedAzure {
  readonly registered: readonly Registered[];
  of(type: string): readonly Registered[];
  /** Properties of the vault that is found. */
  vault: Record<string, unknown>;
  /** Resources that don't exist yet in a preview, by name. */
  readonly unmade: Set<string>;
}

const lookups: Readonly<Record<string, (azure: RecordedAzure, args: Record<string, unknown>) => object>> = {
  "azure-native:authorization:getClientConfig": () => ({
    clientId: "c",
    objectId: deployerObjectId,
    subscriptionId,
    tenantId: "the-tenant",
  }),
  "azure-native:keyvault:getVault": (azure, { vaultName }) => ({
    id: vaultId,
    name: vaultName,
    properties: { vaultUri: `https://${String(vaultName)}.vault.azure.net/`, ...azure.vault },
  }),
  "azure-native:managedidentity:getUserAssignedIdentity": (_azure, { resourceName }) => ({
    principalId: `object-of-${String(resourceName)}`,
    clientId: `client-of-${String(resourceName)}`,
  }),
  "azure-native:compute:getVirtualMachine": (_azure, { vmName }) =>
    vmName === "bare" ? {} : { identity: { principalId: `object-of-${String(vmName)}` } },
};

/** What a resource adds to its inputs when it is made. */
function outputsOf(type: string, name: string, inputs: Record<string, unknown>): Record<string, unknown> {
  switch (type) {
    case "azure-native:keyvault:Vault": {
      const vaultName = (inputs["vaultName"] as string | undefined) ?? `${name}1234abcd`;
      const properties = {
        ...(inputs["properties"] as object),
        vaultUri: `https://${vaultName}.vault.azure.net/`,
      };
      return { name: vaultName, properties };
    }
    case "azure-native:keyvault:Key": {
      const version = Number(/-v(\d+)$/.exec(String(inputs["keyName"]))?.[1] ?? 0);
      const uri = `https://${String(inputs["vaultName"])}.vault.azure.net/keys/${String(inputs["keyName"])}`;
      return { name: inputs["keyName"], keyUri: uri, keyUriWithVersion: `${uri}/${keyVersion(version)}` };
    }
    case "azure-native:managedidentity:UserAssignedIdentity":
      return { name: inputs["resourceName"] ?? name, principalId: `object-of-${name}`, clientId: `client-of-${name}` };
    default:
      return { name };
  }
}

function idOf(type: string, name: string, outputs: Record<string, unknown>): string {
  const [, module = "", kind = ""] = type.split(":");
  if (module === "keyvault" && kind === "Vault") return `${group}/Microsoft.KeyVault/vaults/${String(outputs["name"])}`;
  return `${group}/${module}/${kind}/${name}`;
}

export async function recordAzure(preview = false): Promise<RecordedAzure> {
  const registered: Registered[] = [];
  const azure: RecordedAzure = {
    registered,
    of: (type) => registered.filter((resource) => resource.type === type),
    vault: {
      enableRbacAuthorization: true,
      enablePurgeProtection: true,
      softDeleteRetentionInDays: 90,
      publicNetworkAccess: "Enabled",
      sku: { name: "standard" },
    },
    unmade: new Set(),
  };
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs: given }) => {
        const inputs = given as Record<string, unknown>;
        registered.push({ type, name, inputs });
        if (azure.unmade.has(name)) return { id: undefined, state: {} };
        const outputs = outputsOf(type, name, inputs);
        return { id: idOf(type, name, outputs), state: { ...inputs, ...outputs } };
      },
      call: ({ token, inputs }) => {
        const lookup = lookups[token];
        if (lookup === undefined) throw new Error(`nothing is known of ${token}`);
        return lookup(azure, inputs as Record<string, unknown>);
      },
    },
    "project",
    "stack",
    preview,
  );
  return azure;
}

/** The value of an output; `undefined` where it is not known in a preview. */
export function valueOf<T>(output: pulumi.Output<T>): Promise<T | undefined> {
  return (output as unknown as { promise(): Promise<T | undefined> }).promise();
}
