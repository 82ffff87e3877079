/**
 * Keys of a vault, seen through ARM: made by it, read by it, and never changed by it (facts/aks.md 5.3). PUT on a key that exists
 * is answered with 200 and does nothing; a version more, an expiry, disabling and deleting are the data plane's.
 */
import { ArmError } from "../arm-error";
import type { ArmType } from "../arm-type";
import { isList, type JsonObject, textAt } from "../shape";
import { bodyProperties, propertiesOf } from "./common";
import { keyShape, vaultApiVersions } from "./vault-shapes";

export const vaultKeys: ArmType = {
  type: "Microsoft.KeyVault/vaults/keys",
  apiVersions: vaultApiVersions,
  name: /^[a-zA-Z0-9-]{1,127}$/,
  noDelete: true,
  shape: keyShape,
  put(work) {
    const { world, id, before, body } = work;
    const [vaultName = "", name = ""] = id.names;
    if (before !== undefined) return { body: before.body };
    const asked = bodyProperties(work);
    const vault = propertiesOf(world.find(id.parent));
    requireValid(asked, textAt(vault, "sku", "name"));
    const state = world.keyVaults.stateOf(vaultName, name);
    if (state === "deleted") {
      throw new ArmError(
        409,
        "Conflict",
        `Key ${name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the key can only be recovered or purged.`,
      );
    }
    if (state === "absent") world.keyVaults.addKey(vaultName, name, asked);
    const { rotationPolicy } = asked;
    return {
      body: {
        ...(body["tags"] === undefined ? {} : { tags: body["tags"] }),
        properties: rotationPolicy === undefined ? {} : { rotationPolicy },
      },
    };
  },
  view(resource, world) {
    const [vaultName = "", name = ""] = resource.id.names;
    const vault = world.find(resource.id.parent);
    const live = world.keyVaults.describe(vaultName, name) ?? {};
    return {
      location: vault?.body["location"] ?? "",
      ...resource.body,
      properties: { ...propertiesOf(resource), ...live },
    };
  },
};

/** Versions of a key, to be seen only: they come from the data plane. */
export const vaultKeyVersions: ArmType = {
  type: "Microsoft.KeyVault/vaults/keys/versions",
  apiVersions: vaultApiVersions,
  noDelete: true,
  shape: keyShape,
  put() {
    throw new ArmError(405, "MethodNotAllowed", "Versions of keys are made through the vault's own endpoint.");
  },
  found({ names }, world) {
    const [vaultName = "", name = "", version = ""] = names;
    const properties = world.keyVaults.describe(vaultName, name, version);
    return properties === undefined ? undefined : { properties };
  },
};

function requireValid(asked: JsonObject, sku: string): void {
  const kty = textAt(asked, "kty") || "RSA";
  const bad = (message: string) => new ArmError(400, "BadRequest", message);
  if (kty.endsWith("-HSM") && sku.toLowerCase() !== "premium") {
    throw bad(`Key type ${kty} is not supported in a vault of SKU 'standard'.`);
  }
  const { keySize } = asked;
  if (kty.startsWith("RSA") && keySize !== undefined && ![2048, 3072, 4096].includes(Number(keySize))) {
    throw bad(`Key size ${JSON.stringify(keySize)} is not supported; the sizes of RSA keys are 2048, 3072 and 4096.`);
  }
  if (kty.startsWith("EC") && keySize !== undefined) throw bad("Property keySize is not allowed for EC keys.");
  const policy = asked["rotationPolicy"];
  const actions =
    typeof policy === "object" && policy !== null && "lifetimeActions" in policy ? policy["lifetimeActions"] : [];
  for (const action of isList(actions) ? actions : []) {
    if (textAt(action, "trigger", "timeBeforeExpiry") !== "" && textAt(policy, "attributes", "expiryTime") === "") {
      throw bad("timeBeforeExpiry needs expiryTime in the rotation policy.");
    }
  }
}
