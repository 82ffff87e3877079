import assert from "node:assert/strict";
import type { KmsEtcdError } from "../../../../core/errors";
import { parseEtcdOverrides } from "../../../../rotation/adapters/etcd/etcd-layout";

describe("--etcd-servers-overrides", () => {
  it("is read as API servers read it", () => {
    assert.deepEqual(parseEtcdOverrides("/events#https://e1:2379;https://e2:2379,apps/deployments#https://d:2379"), [
      { resource: "events", endpoints: ["https://e1:2379", "https://e2:2379"] },
      { resource: "deployments.apps", endpoints: ["https://d:2379"] },
    ]);
    assert.deepEqual(parseEtcdOverrides(""), []);
  });

  it("anything else => invalid-input, quoting the entry", () => {
    for (const wrong of ["events#https://e:2379", "/events", "/events#", "/events#;"]) {
      assert.throws(
        () => parseEtcdOverrides(wrong),
        (error: KmsEtcdError) => error.code === "invalid-input" && error.message.includes(`"${wrong}"`),
      );
    }
  });
});
