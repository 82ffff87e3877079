import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { typeTokens } from "../../core/type-tokens";
import { constructTypes } from "../../provider/construct-types";
import { packageSchema } from "../../tools/schema/package-schema";

const project = join(__dirname, "..", "..");

describe("package schema", function () {
  this.timeout(120_000);
  const committed = JSON.parse(readFileSync(join(project, "provider", "schema.json"), "utf8")) as {
    resources: Record<
      string,
      {
        isComponent?: boolean;
        properties?: Record<string, unknown>;
        inputProperties: Record<string, { plain?: boolean; description?: string }>;
      }
    >;
    types: Record<string, { properties?: Record<string, { plain?: boolean }> }>;
  };

  it("the committed provider/schema.json => what the components say now (npm run schema writes it)", () => {
    assert.deepEqual(packageSchema(project), committed);
  });

  it("every exported resource, and only those, under the token that programs register", () => {
    assert.deepEqual(
      Object.keys(committed.resources).sort(),
      Object.values(typeTokens)
        .filter((token) => token !== typeTokens.rotationPhase)
        .sort(),
    );
    assert.equal(committed.resources[typeTokens.kmsEtcdEncryption]?.isComponent, true);
    assert.equal(committed.resources[typeTokens.kmsEtcdEncryption]?.inputProperties["keyVersion"]?.plain, true);
  });

  it("every component => Construct makes it, with the outputs that the schema says", () => {
    const made = Object.entries(constructTypes).map(([token, { outputs }]) => [token, [...outputs].sort()] as const);
    const said = Object.entries(committed.resources)
      .filter(([, resource]) => resource.isComponent === true)
      .map(([token, resource]) => [token, Object.keys(resource.properties ?? {}).sort()] as const);
    assert.deepEqual(new Map(made), new Map(said));
  });

  it("a block inside a component => what decides which resources exist is plain there too", () => {
    const block = committed.types["kms-etcd:index:AzureKeyVaultSource"]?.properties ?? {};
    const plain = Object.keys(block).filter((name) => block[name]?.plain === true);
    assert.ok(
      plain.includes("authorization") && plain.includes("keyIds") && !plain.includes("vaultName"),
      plain.join(),
    );
  });

  it("every input => described", () => {
    for (const [token, resource] of Object.entries(committed.resources)) {
      for (const [name, input] of Object.entries(resource.inputProperties)) {
        assert.ok((input.description ?? "").length > 20, `${token} ${name}`);
      }
    }
  });
});
