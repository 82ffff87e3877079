import assert from "node:assert/strict";
import { Agent } from "undici";
import { type FakeAzure, startFakeAzure } from "./azure-cloud";
import type { FakeVault } from "./key-vault";

/** What is looked at of the answers. */
interface Answer {
  readonly attributes?: { readonly exp?: number };
  readonly value?: readonly unknown[];
  readonly error?: { readonly innererror?: { readonly code?: string } };
}

describe("keys of the fake Key Vault, as the data plane manages them", function () {
  this.timeout(20_000);
  let azure: FakeAzure;
  let client: Agent;
  let vault: FakeVault;
  let token: string;
  before(async () => {
    azure = await startFakeAzure();
    client = new Agent({ connect: azure.connect });
    vault = azure.addVault("myvault");
    const identity = azure.metadata.assign({ tenantId: vault.tenantId, systemAssigned: true });
    vault.policy = (_, operation) => (operation === "wrapKey" ? "ForbiddenByPolicy" : undefined);
    token = azure.entra.issue(identity, "https://vault.azure.net").accessToken;
  });
  after(async () => {
    await client.destroy();
    await azure.close();
  });

  async function ask(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: object) {
    const answer = await client.request({
      origin: "https://myvault.vault.azure.net",
      path: `${path}?api-version=7.4`,
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, body: JSON.parse(text) as Answer };
  }

  it("create adds a version, and lists it; the attributes are those that were given", async () => {
    const expires = Math.floor(Date.now() / 1_000) + 3_600;
    for (let count = 1; count <= 2; count += 1) {
      const { status, body } = await ask("POST", "/keys/etcd/create", { kty: "RSA", attributes: { exp: expires } });
      assert.equal(status, 200);
      assert.equal(body.attributes?.exp, expires);
      assert.equal((await ask("GET", "/keys/etcd/versions")).body.value?.length, count);
    }
  });

  it("PATCH moves the expiry and switches a version off and on, as the service's own clients do it", async () => {
    const key = vault.keys.add({ name: "patched" });
    const path = `/keys/patched/${key.version}`;
    const off = await ask("PATCH", path, { attributes: { enabled: false, exp: 4_102_444_800 } });
    assert.deepEqual([off.status, key.enabled, key.expires], [200, false, 4_102_444_800_000]);
    await ask("PATCH", path, { attributes: { enabled: true } });
    assert.equal(key.enabled, true);
    assert.equal((await ask("PATCH", "/keys/none/1", {})).status, 404);
  });

  it("a deleted key is found among the deleted ones, keeps its name, and can be recovered with all versions", async () => {
    vault.keys.add({ name: "gone" });
    assert.equal((await ask("DELETE", "/keys/gone")).status, 200);
    assert.equal((await ask("GET", "/keys/gone/versions")).status, 404);
    assert.equal((await ask("GET", "/deletedkeys/gone")).status, 200);
    assert.equal((await ask("POST", "/keys/gone/create", { kty: "RSA" })).status, 409);
    assert.equal((await ask("POST", "/deletedkeys/gone/recover")).status, 200);
    assert.equal((await ask("GET", "/keys/gone/versions")).body.value?.length, 1);
  });

  it("a policy that refuses an operation is asked instead of the grants", async () => {
    const key = vault.keys.add({ name: "wrapping" });
    const { status, body } = await ask("POST", `/keys/wrapping/${key.version}/wrapkey`, {
      alg: "RSA-OAEP",
      value: "AAAA",
    });
    assert.deepEqual([status, body.error?.innererror?.code], [403, "ForbiddenByPolicy"]);
  });
});
