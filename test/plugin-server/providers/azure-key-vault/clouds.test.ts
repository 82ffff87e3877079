import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findCloud } from "../../../../plugin-server/providers/azure-key-vault/clouds";

describe("the clouds of Azure", () => {
  const table: readonly (readonly [string, string, string, string | undefined])[] = [
    ["", "login.microsoftonline.com", "vault.azure.net", "managedhsm.azure.net"],
    ["AzurePublicCloud", "login.microsoftonline.com", "vault.azure.net", "managedhsm.azure.net"],
    ["azurecloud", "login.microsoftonline.com", "vault.azure.net", "managedhsm.azure.net"],
    ["AZURECHINACLOUD", "login.chinacloudapi.cn", "vault.azure.cn", "managedhsm.azure.cn"],
    ["AzureUSGovernment", "login.microsoftonline.us", "vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"],
    ["AzureUSGovernmentCloud", "login.microsoftonline.us", "vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net"],
    ["AzureGermanCloud", "login.microsoftonline.de", "vault.microsoftazure.de", undefined],
  ];
  for (const [name, login, vault, hsm] of table) {
    it(`"${name}" has its login host and its vaults`, async () => {
      const cloud = await findCloud(name, {});
      assert.equal(cloud.authority, `https://${login}`);
      assert.deepEqual(cloud.vault, { dnsSuffix: vault, resource: `https://${vault}` });
      assert.equal(cloud.managedHsm?.resource, hsm === undefined ? undefined : `https://${hsm}`);
      assert.ok(!cloud.privateAuthority);
    });
  }

  it("may have another login host by environment, which is believed only when it is given so", async () => {
    const known = await findCloud("", { AZURE_AUTHORITY_HOST: "https://login.microsoftonline.us/" });
    assert.deepEqual([known.authority, known.privateAuthority], ["https://login.microsoftonline.us", false]);
    const own = await findCloud("", { AZURE_AUTHORITY_HOST: "https://login.example:8443/" });
    assert.deepEqual([own.authority, own.privateAuthority], ["https://login.example:8443", true]);
    await assert.rejects(findCloud("", { AZURE_AUTHORITY_HOST: "http://login.example/" }), {
      code: "invalid-input",
      message: /AZURE_AUTHORITY_HOST is not an https address/,
    });
  });

  describe("of one's own", () => {
    let directory: string;
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "azure-clouds-"));
    });
    after(() => rm(directory, { recursive: true }));

    async function find(content: unknown) {
      const file = join(directory, "cloud.json");
      await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
      return findCloud("AzureStackCloud", { AZURE_ENVIRONMENT_FILEPATH: file });
    }

    const endpoints = { activeDirectoryEndpoint: "https://login.own/", keyVaultDNSSuffix: "vault.own" };

    it("take the audience from the most precise field that the file has", async () => {
      assert.equal((await find(endpoints)).vault.resource, "https://vault.own");
      const withEndpoint = { ...endpoints, keyVaultEndpoint: "https://endpoint.own/" };
      assert.equal((await find(withEndpoint)).vault.resource, "https://endpoint.own");
      const withResource = { ...withEndpoint, resourceIdentifiers: { keyVault: "https://resource.own" } };
      assert.equal((await find(withResource)).vault.resource, "https://resource.own");
      assert.equal((await find(endpoints)).managedHsm, undefined);
      const hsm = await find({ ...endpoints, managedHSMDNSSuffix: "hsm.own" });
      assert.deepEqual(hsm.managedHsm, { dnsSuffix: "hsm.own", resource: "https://hsm.own" });
    });

    it("are refused by field", async () => {
      await assert.rejects(find({ keyVaultDNSSuffix: "vault.own" }), { message: /activeDirectoryEndpoint is missing/ });
      await assert.rejects(find({ activeDirectoryEndpoint: "https://login.own" }), {
        message: /keyVaultDNSSuffix is missing/,
      });
      await assert.rejects(find({ ...endpoints, activeDirectoryEndpoint: "login.own" }), {
        message: /is not an https address/,
      });
      await assert.rejects(find("{"), { message: /cannot be read as JSON/ });
      await assert.rejects(find([]), { message: /is not a JSON object/ });
      await assert.rejects(findCloud("AzureStackCloud", {}), { message: /AZURE_ENVIRONMENT_FILEPATH is not set/ });
    });
  });
});
