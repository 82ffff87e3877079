/** `azure-native:keyvault:AccessPolicy`: one principal's policy, written by the vault's own actions and no resource of ARM. */
import { KmsEtcdError } from "../../../core/errors";
import { changedProperties } from "../../../provider/property-diff";
import { isObject, type Properties, type PropertyValue } from "../../../provider/property-values";
import { isList, type Json, type JsonObject } from "../arm/shape";
import { accessPolicy, vaultApiVersions } from "../arm/types/vault-shapes";
import { type ArmClient, ArmRefusal } from "./arm-client";
import type { NativeResource } from "./native-resource";
import { fromArm, missingNames, toArm, unknownNames } from "./sdk-shape";

const apiVersion = vaultApiVersions[1] ?? "";
const argumentsOf = ["policy", "resourceGroupName", "vaultName"];

export function createAccessPolicyResource(client: ArmClient): NativeResource {
  const vaultPath = (inputs: Properties) =>
    `/subscriptions/${client.credentials.subscriptionId}/resourceGroups/${textOf(inputs["resourceGroupName"])}/providers/Microsoft.KeyVault/vaults/${textOf(inputs["vaultName"])}`;
  const objectIdOf = (inputs: Properties): string => {
    const { policy } = inputs;
    return isObject(policy) && typeof policy["objectId"] === "string" ? policy["objectId"] : "";
  };
  const find = async (vault: string, objectId: string): Promise<Json | undefined> => {
    const body = await client.get(vault, apiVersion);
    const properties = body?.["properties"] as JsonObject | undefined;
    const policies = properties?.["accessPolicies"];
    return (isList(policies) ? policies : []).find((entry) => (entry as JsonObject)["objectId"] === objectId);
  };
  const write = async (verb: string, inputs: Properties): Promise<void> => {
    const body = { properties: { accessPolicies: [toArm(accessPolicy, inputs["policy"] ?? null)] } };
    try {
      await client.send("PUT", `${vaultPath(inputs)}/accessPolicies/${verb}`, apiVersion, body);
    } catch (thrown) {
      throw thrown instanceof ArmRefusal ? new KmsEtcdError("invalid-input", thrown.message) : thrown;
    }
  };

  return {
    async check(_olds, news) {
      const problems = [
        ...argumentsOf.filter((name) => news[name] === undefined),
        ...missingNames(accessPolicy, news["policy"] ?? null, "policy"),
      ].map((path) => ({ path, reason: "missing required property" }));
      const extra = [
        ...Object.keys(news).filter((name) => !argumentsOf.includes(name)),
        ...unknownNames(accessPolicy, news["policy"] ?? null, "policy"),
      ].map((path) => ({ path, reason: `AccessPolicy has no property '${path}'` }));
      return { inputs: news, problems: [...problems, ...extra] };
    },
    diff({ inputs }, news) {
      const changes = changedProperties(inputs, news);
      const fixed = ["resourceGroupName", "vaultName", "policy.objectId"];
      return {
        changes,
        replaces: new Set([...changes.keys()].filter((path) => fixed.includes(path))),
        deleteBeforeReplace: false,
      };
    },
    async create(inputs, preview) {
      const id = `${vaultPath(inputs)}/accessPolicy/${objectIdOf(inputs)}`;
      if (preview) return { id: "", outputs: inputs };
      if ((await find(vaultPath(inputs), objectIdOf(inputs))) !== undefined) {
        throw new KmsEtcdError("conflict", `cannot create already existing resource '${id}'`);
      }
      await write("add", inputs);
      return { id, outputs: inputs };
    },
    async read({ id, inputs }) {
      const [, vault = "", objectId = ""] = /^(.*)\/accessPolicy\/([^/]+)$/.exec(id) ?? [];
      const found = await find(vault, objectId);
      if (found === undefined) return undefined;
      const [, group = "", name = ""] = /\/resourceGroups\/([^/]+)\/.*\/vaults\/([^/]+)$/.exec(vault) ?? [];
      const policy: PropertyValue = fromArm(accessPolicy, found);
      const seen: Properties = { ...inputs, resourceGroupName: group, vaultName: name, policy };
      return { id, inputs: seen, outputs: seen };
    },
    async update(_state, inputs, preview) {
      if (!preview) await write("replace", inputs);
      return inputs;
    },
    delete: ({ inputs }) => write("remove", inputs),
  };
}

function textOf(value: PropertyValue | undefined): string {
  return typeof value === "string" ? value : "";
}
