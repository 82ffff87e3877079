import assert from "node:assert/strict";
import type { AksControlPlane } from "../fakes/aks/aks-control-plane";
import { type RealAks, startRealAks } from "../fakes/aks/real-aks";
import { type ArmRequests, type ArmResponse, armRequests } from "../fakes/arm/arm-requests";
import { roles } from "../fakes/arm/roles";
import { type JsonObject, textAt } from "../fakes/arm/shape";

const apiVersion = "2025-09-01";

/** ARM alone sets keyId here, as `az aks update` does: what AKS does with it is shown with real API servers, and with no engine. */
describe("a managed cluster with real API servers", function () {
  this.timeout(20 * 60_000);
  let aks: RealAks;
  let arm: ArmRequests;
  let cluster: AksControlPlane;
  let path: string;
  let identity: string;
  const keys: string[] = [];

  before(async () => {
    aks = await startRealAks({ servers: 2 });
    arm = armRequests(aks);
    const group = await arm.group();
    identity = `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kms`;
    const made = await arm.put(identity, "2023-01-31", { location: "westeurope" });
    const vault = `${group}/providers/Microsoft.KeyVault/vaults/aksvault`;
    await arm.put(vault, "2024-11-01", {
      location: "westeurope",
      properties: { tenantId: aks.tenantId, sku: { family: "A", name: "standard" }, enableRbacAuthorization: true },
    });
    aks.arm.access.grant(textAt(made.body, "properties", "principalId"), roles.keyVaultCryptoUser, vault);
    for (const name of ["etcd-v1", "etcd-v2", "etcd-v3"]) {
      const { body } = await arm.put(`${vault}/keys/${name}`, "2024-11-01", { properties: { kty: "RSA" } });
      keys.push(textAt(body, "properties", "keyUriWithVersion"));
    }
    path = `${group}/providers/Microsoft.ContainerService/managedClusters/aks`;
  });
  after(async () => {
    await arm.close();
    await aks.close();
  });

  const put = (azureKeyVaultKms: JsonObject): Promise<ArmResponse> =>
    arm.put(path, apiVersion, {
      location: "westeurope",
      identity: { type: "UserAssigned", userAssignedIdentities: { [identity]: {} } },
      properties: {
        dnsPrefix: "aks",
        agentPoolProfiles: [{ name: "system", mode: "System", count: 1, vmSize: "Standard_D2s_v5" }],
        securityProfile: { azureKeyVaultKms },
      },
    });
  const keyOf = (version: number): string => keys[version - 1] ?? "";
  const setKey = (version: number) => put({ enabled: true, keyId: keyOf(version), keyVaultNetworkAccess: "Public" });
  const secret = (name: string) => cluster.request("GET", `/api/v1/namespaces/default/secrets/${name}`);

  async function rewrite(): Promise<void> {
    const { items } = JSON.parse((await cluster.request("GET", "/api/v1/namespaces/default/secrets")).text) as {
      items: { metadata: { name: string } }[];
    };
    for (const item of items) {
      const { status, text } = await cluster.request(
        "PUT",
        `/api/v1/namespaces/default/secrets/${item.metadata.name}`,
        { apiVersion: "v1", kind: "Secret", ...item },
      );
      assert.equal(status, 200, text);
    }
  }

  it("without KMS => Secrets are plaintext in etcd", async () => {
    const { code, message } = await put({ enabled: false });
    assert.equal(code, "", message);
    cluster = aks.controlPlaneOf(path);
    await cluster.createSecrets(5);
    assert.deepEqual(await cluster.storedUnder(), { plaintext: 5 });
  });

  it("a key => new Secrets are under it; the earlier ones once they are written again", async () => {
    const { code, message } = await setKey(1);
    assert.equal(code, "", message);
    assert.deepEqual(await cluster.storedUnder(), { plaintext: 5 });
    await rewrite();
    assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: 5 });
  });

  it("another key => Secrets under the one before stay readable on every server", async () => {
    const { code, message } = await setKey(2);
    assert.equal(code, "", message);
    assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: 5 });
    for (let turn = 0; turn < 4; turn += 1) assert.equal((await secret("s0")).status, 200);
  });

  it("a third key without a rewrite in between => the first server that gets it can't read its Secrets, and the operation fails", async () => {
    const { code, message } = await setKey(3);
    assert.equal(code, "InternalOperationError", message);
    assert.match(message, /cp1 can't read its Secrets.*no matching prefix found/s);
    const { body } = await arm.ask("GET", path, apiVersion);
    assert.equal(textAt(body, "properties", "provisioningState"), "Failed");
    assert.deepEqual(await cluster.storedUnder(), { [keyOf(1)]: 5 });
  });

  it("a rewrite by the server that is left, and keyId again => the third key, and everything is there", async () => {
    await rewrite();
    assert.deepEqual(await cluster.storedUnder(), { [keyOf(2)]: 5 });
    const { code, message } = await setKey(3);
    assert.equal(code, "", message);
    await rewrite();
    assert.deepEqual(await cluster.storedUnder(), { [keyOf(3)]: 5 });
    const { data } = JSON.parse((await secret("s4")).text) as { data: { value: string } };
    assert.equal(Buffer.from(data.value, "base64").toString(), "plaintext-4");
  });
});
