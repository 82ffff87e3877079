/** The SDK's functions: who the caller is, `get...` of every type that the stand-in has, and credentials of clusters. */
import { KmsEtcdError } from "../../../core/errors";
import type { Properties } from "../../../provider/property-values";
import type { JsonObject } from "../arm/shape";
import type { ArmClient } from "./arm-client";
import { nativeTypes, pathArguments } from "./native-types";
import { fromArm } from "./sdk-shape";

const lists: Readonly<Record<string, readonly [token: string, action: string]>> = {
  "azure-native:containerservice:listManagedClusterUserCredentials": [
    "containerservice:ManagedCluster",
    "listClusterUserCredential",
  ],
  "azure-native:containerservice:listManagedClusterAdminCredentials": [
    "containerservice:ManagedCluster",
    "listClusterAdminCredential",
  ],
  "azure-native:containerregistry:listRegistryCredentials": ["containerregistry:Registry", "listCredentials"],
};

export async function invoke(client: ArmClient, token: string, input: Properties): Promise<Properties> {
  if (token === "azure-native:authorization:getClientConfig") {
    const { appid, oid } = await client.whoAmI();
    const { subscriptionId, tenantId } = client.credentials;
    return { clientId: String(appid), objectId: String(oid), subscriptionId, tenantId };
  }
  if (token === "azure-native:authorization:getClientToken") {
    const { endpoint } = input;
    return { token: await client.token(typeof endpoint === "string" ? endpoint : "https://management.azure.com") };
  }
  const listed = lists[token];
  const name = listed === undefined ? token.replace(/:get(\w+)$/, ":$1") : `azure-native:${listed[0]}`;
  const type = nativeTypes.get(name);
  if (type === undefined || name === token)
    throw new KmsEtcdError("unsupported", `the stand-in has no function ${token}`);
  const known = pathArguments(type);
  const extra = Object.keys(input).find((argument) => !known.includes(argument));
  if (extra !== undefined) throw new KmsEtcdError("invalid-input", `${token} has no argument '${extra}'`);
  const path = type.path.replace(/\{(\w+)\}/g, (_match, argument: string) => {
    if (argument === "subscriptionId") return client.credentials.subscriptionId;
    const value = input[argument];
    if (typeof value !== "string") throw new KmsEtcdError("invalid-input", `${token} needs ${argument}`);
    return value.replace(/^\//, "");
  });
  if (listed !== undefined) {
    return (await client.send("POST", `${path}/${listed[1]}`, type.apiVersion)) ?? {};
  }
  const body: JsonObject | undefined = await client.get(path, type.apiVersion);
  if (body === undefined) throw new KmsEtcdError("not-found", `${path} was not found`);
  return { ...(fromArm(type.arm.shape, body) as Properties), id: path, azureApiVersion: type.apiVersion };
}
