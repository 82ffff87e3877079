import assert from "node:assert/strict";
import { withoutObjectNames } from "../../rotation/object-names";

describe("texts that may be stored", () => {
  it("etcd keys, API paths and quoted names => gone; what went wrong stays", () => {
    const text = withoutObjectNames(
      'unable to transform key "/registry/secrets/prod/db-password": secrets "db-password" is forbidden; GET /api/v1/namespaces/prod/secrets/db-password: 500',
    );
    assert.doesNotMatch(text, /db-password|prod/);
    assert.match(text, /unable to transform key .* is forbidden; GET .*: 500/);
  });

  it("a text without names => as it was", () => {
    const text = "cp2 did not load sha256:abc within 150 s (3 failed reloads)";
    assert.equal(withoutObjectNames(text), text);
  });
});
