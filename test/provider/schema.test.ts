import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { typeTokens } from "../../core/type-tokens";
import { packageSchema } from "../../tools/schema/package-schema";

const project = join(__dirname, "..", "..");

describe("package schema", function () {
  this.timeout(60_000);
  const committed = JSON.parse(readFileSync(join(project, "provider", "schema.json"), "utf8")) as {
    resources: Record<
      string,
      { isComponent?: boolean; inputProperties: Record<string, { plain?: boolean; description?: string }> }
    >;
  };

  it("the committed provider/schema.json => what the components say now (npm run schema writes it)", () => {
    assert.deepEqual(packageSchema(project), committed);
  });

  it("every exported resource, and only those, under the token that programs register", () => {
    assert.deepEqual(
      Object.keys(committed.resources).sort(),
      [typeTokens.kmsEtcdEncryption, typeTokens.encryptionRollout, typeTokens.localKey].sort(),
    );
    assert.equal(committed.resources[typeTokens.kmsEtcdEncryption]?.isComponent, true);
    assert.equal(committed.resources[typeTokens.kmsEtcdEncryption]?.inputProperties["keyVersion"]?.plain, true);
  });

  it("every input => described", () => {
    for (const [token, resource] of Object.entries(committed.resources)) {
      for (const [name, input] of Object.entries(resource.inputProperties)) {
        assert.ok((input.description ?? "").length > 20, `${token} ${name}`);
      }
    }
  });
});
