import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Properties, unknown } from "../../../provider/property-values";
import { nativeTypes, pathArguments } from "./native-types";
import { asInputs, fromArm, missingNames, previewOutputs, sdkFields, toArm, unknownNames } from "./sdk-shape";

const sdk = dirname(require.resolve("@pulumi/azure-native/package.json"));

/** What the SDK's class sends, and what it reads back, as its compiled code says. */
function sdkNames(token: string): {
  readonly inputs: Set<string>;
  readonly outputs: Set<string>;
  readonly apiVersion: string;
} {
  const [, module = "", name = ""] = token.split(":");
  const file = join(sdk, module, `${name.charAt(0).toLowerCase()}${name.slice(1)}`);
  const code = readFileSync(`${file}.js`, "utf8");
  const found = (pattern: RegExp) => new Set([...code.matchAll(pattern)].map((match) => match[1] ?? ""));
  return {
    inputs: found(/resourceInputs\["(\w+)"\] = \(?\(?args/g),
    outputs: found(/resourceInputs\["(\w+)"\] = undefined/g),
    apiVersion: /Uses Azure REST API version ([\w-]+)\./.exec(readFileSync(`${file}.d.ts`, "utf8"))?.[1] ?? "",
  };
}

describe("the stand-in's types are those of the SDK", () => {
  for (const type of nativeTypes.values()) {
    it(`${type.token}: arguments, outputs and API version`, () => {
      const { inputs, outputs, apiVersion } = sdkNames(type.token);
      const fields = [...sdkFields(type.arm.shape.fields)].filter(
        ([, { shape }]) => shape.inVersion?.(type.apiVersion) !== false,
      );
      const nested = type.nestedInput === true ? Object.keys(type.arm.shape.fields) : undefined;
      const own = fields.filter(([, { shape }]) => shape.readOnly !== true).map(([name]) => name);
      const wanted = [
        ...pathArguments(type),
        ...(nested ?? own).filter((name) => !["id", "name", "type", "systemData", "location"].includes(name)),
      ];
      assert.deepEqual(
        wanted.filter((name) => !inputs.has(name)),
        [],
      );
      const shown = fields.map(([name]) => name).filter((name) => name !== "id" && outputs.size > 0);
      // Only some types have systemData; those that do not leave it out.
      assert.deepEqual(
        shown.filter((name) => !outputs.has(name) && name !== "systemData"),
        [],
      );
      assert.equal(type.apiVersion, apiVersion);
      assert.ok(type.arm.apiVersions.includes(apiVersion));
    });
  }
});

describe("between the SDK's values and ARM's bodies", () => {
  const shapeOf = (token: string) => {
    const type = nativeTypes.get(`azure-native:${token}`);
    assert.ok(type);
    return type.arm.shape;
  };

  it("properties that the SDK shows flat go into ARM's properties and come back, in lists too", () => {
    const endpoint = shapeOf("network:PrivateEndpoint");
    const values = {
      location: "westeurope",
      subnet: { id: "/s" },
      privateLinkServiceConnections: [{ name: "vault", groupIds: ["vault"], privateLinkServiceId: "/v" }],
    };
    const body = toArm(endpoint, values);
    assert.deepEqual(body, {
      location: "westeurope",
      properties: {
        subnet: { id: "/s" },
        privateLinkServiceConnections: [
          { name: "vault", properties: { groupIds: ["vault"], privateLinkServiceId: "/v" } },
        ],
      },
    });
    assert.deepEqual(fromArm(endpoint, body), values);
  });

  it("a cluster's identities are a list for the SDK and a map for ARM, and a map again in outputs", () => {
    const cluster = shapeOf("containerservice:ManagedCluster");
    const body = toArm(cluster, { identity: { type: "UserAssigned", userAssignedIdentities: ["/i"] } });
    assert.deepEqual(body, { identity: { type: "UserAssigned", userAssignedIdentities: { "/i": {} } } });
    const outputs = fromArm(cluster, { identity: { userAssignedIdentities: { "/i": { principalId: "p" } } } });
    assert.deepEqual(outputs, { identity: { userAssignedIdentities: { "/i": { principalId: "p" } } } });
    assert.deepEqual(asInputs(cluster, outputs), { identity: { userAssignedIdentities: ["/i"] } });
  });

  it("names that differ are translated: a key's expiry", () => {
    const key = shapeOf("keyvault:Key");
    const flat = { attributes: { expires: 4, notBefore: 3 } };
    assert.deepEqual(toArm(key, flat), { properties: { attributes: { exp: 4, nbf: 3 } } });
    assert.deepEqual(fromArm(key, { properties: { attributes: { exp: 4, nbf: 3 } } }), flat);
  });

  it("unknown and misplaced names are found at any depth, and so are those that are missing", () => {
    const vault = shapeOf("keyvault:Vault");
    const properties = {
      tenantId: "t",
      sku: { name: "standard", famly: "A" },
      networkAcls: { ipRules: [{ values: "1" }] },
    };
    assert.deepEqual(unknownNames(vault, { properties }), [
      "properties.sku.famly",
      "properties.networkAcls.ipRules[0].values",
    ]);
    assert.deepEqual(missingNames(vault, { properties, location: "l" }), [
      "properties.sku.family",
      "properties.networkAcls.ipRules[0].value",
    ]);
    assert.deepEqual(unknownNames(vault, { tenantId: "t" }), ["tenantId"]);
    assert.deepEqual(unknownNames(vault, { properties: { vaultUri: "read-only" } }), ["properties.vaultUri"]);
  });

  it("what is not known yet is neither missing nor wrong, and is not known in a preview's outputs", () => {
    const vault = shapeOf("keyvault:Vault");
    const inputs: Properties = {
      location: unknown,
      properties: { tenantId: unknown, sku: { family: "A", name: "standard" } },
    };
    assert.deepEqual([...unknownNames(vault, inputs), ...missingNames(vault, inputs)], []);
    const planned = previewOutputs(vault, inputs) as { name: unknown; properties: Record<string, unknown> };
    assert.equal(planned.name, unknown);
    assert.deepEqual(
      [planned.properties["sku"], planned.properties["vaultUri"]],
      [{ family: "A", name: "standard" }, unknown],
    );
  });
});
