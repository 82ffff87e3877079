import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { KmsEtcdError } from "../../../../core/errors";
import { type AzureJson, readAzureJson } from "../../../../plugin-server/providers/azure-key-vault/azure-json";

describe("azure.json", () => {
  let directory: string;
  let file: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "azure-json-"));
    file = join(directory, "azure.json");
  });
  after(() => rm(directory, { recursive: true }));

  async function read(content: unknown, environment: NodeJS.ProcessEnv = {}): Promise<AzureJson> {
    await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
    return readAzureJson(file, environment);
  }

  it("is read as a node has it, with all that is of no concern here", async () => {
    const { cloud, credentials } = await read({
      cloud: "AzurePublicCloud",
      tenantId: "tenant",
      subscriptionId: "subscription",
      aadClientId: "msi",
      aadClientSecret: "msi",
      resourceGroup: "rg",
      vmType: "vmss",
      cloudProviderBackoff: true,
      cloudProviderBackoffRetries: 6,
      useManagedIdentityExtension: true,
      userAssignedIdentityID: "7d2f5a3c-1111-2222-3333-444455556666",
      loadBalancerSku: null,
    });
    assert.equal(cloud, "AzurePublicCloud");
    assert.deepEqual(credentials, { kind: "user-assigned-identity", id: "7d2f5a3c-1111-2222-3333-444455556666" });
  });

  it("may be YAML, as the peer's reader takes it", async () => {
    const { credentials } = await read("tenantId: t\naadClientId: c\naadClientSecret: 's'\n");
    assert.deepEqual(credentials, { kind: "client-secret", tenantId: "t", clientId: "c", clientSecret: "s" });
  });

  it("prefers a secret to a certificate, as the peer does", async () => {
    const both = {
      tenantId: "t",
      aadClientId: "c",
      aadClientSecret: "s",
      aadClientCertPath: "/p",
      aadClientCertPassword: "w",
    };
    assert.equal((await read(both)).credentials.kind, "client-secret");
    assert.deepEqual((await read({ ...both, aadClientSecret: "" })).credentials, {
      kind: "client-certificate",
      tenantId: "t",
      clientId: "c",
      certificateFile: "/p",
      certificatePassword: "w",
    });
  });

  it("knows the switch of OpenShift's fork, with the environment of the webhook", async () => {
    const environment = { AZURE_CLIENT_ID: "c", AZURE_TENANT_ID: "t", AZURE_FEDERATED_TOKEN_FILE: "/token" };
    assert.deepEqual((await read({ useWorkloadIdentityExtension: true }, environment)).credentials, {
      kind: "workload-identity",
      tenantId: "t",
      clientId: "c",
      tokenFile: "/token",
    });
  });

  const mistakes: readonly (readonly [string, unknown, RegExp])[] = [
    ["nothing to log in with", {}, /useManagedIdentityExtension is not true, and there is no aadClientId/],
    [
      "a principal without a secret",
      { aadClientId: "c", tenantId: "t" },
      /aadClientSecret is missing, and so is aadClientCertPath/,
    ],
    ["a secret without a tenant", { aadClientId: "c", aadClientSecret: "s" }, /tenantId is missing/],
    ["a secret without an application", { tenantId: "t", aadClientSecret: "s" }, /aadClientId is missing/],
    ["a certificate without a tenant", { aadClientId: "c", aadClientCertPath: "/p" }, /tenantId is missing/],
    [
      "a switch in quotes",
      { useManagedIdentityExtension: "true" },
      /useManagedIdentityExtension is neither true nor false/,
    ],
    ["a number for a text", { tenantId: 5 }, /tenantId is not a text/],
    ["one field with two values", { aadClientId: "a", aadClientID: "b" }, /aadClientID stands twice with two values/],
    ["a list", [], /is not an object with fields/],
    [
      "workload identity without a file",
      { useFederatedWorkloadIdentityExtension: true, tenantId: "t", aadClientId: "c" },
      /aadFederatedTokenFile \(or the environment variable/,
    ],
  ];
  for (const [name, content, message] of mistakes) {
    it(`is refused with ${name}`, async () => {
      await assert.rejects(read(content), { code: "invalid-input", message });
    });
  }

  it("is refused when it is neither JSON nor YAML, without a word of its content", async () => {
    await assert.rejects(read('{"aadClientSecret": "hidden" \n : ['), (error: KmsEtcdError) => {
      assert.equal(error.message, `${file} is neither JSON nor YAML`);
      assert.equal(error.cause, undefined);
      return true;
    });
  });

  it("says what to do when it may not be read", async () => {
    await writeFile(file, "{}");
    await chmod(file, 0o000);
    // Root may read everything, so a process of its own becomes someone else first.
    const program = `
      const { readAzureJson } = require("./plugin-server/providers/azure-key-vault/azure-json");
      if (process.getuid() === 0) process.setuid(65534);
      readAzureJson(process.argv[1], {}).catch(({ code, remedy }) => process.stdout.write(code + ": " + remedy));
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["-r", "ts-node/register/transpile-only", "-e", program, file],
      { cwd: resolve(__dirname, "../../../..") },
    );
    assert.match(stdout, /^permission-denied: run the plugin as root \(runAsUser: 0\)/);
    await chmod(file, 0o600);
  }).timeout(20_000);

  it("never shows a value, whatever is wrong with it", async () => {
    const value = fc.constantFrom<unknown>("§secret§", 12_345_678, true, null, { inner: "§secret§" }, ["§secret§"]);
    const field = fc.constantFrom(
      "cloud",
      "tenantId",
      "aadClientId",
      "aadClientID",
      "aadClientSecret",
      "aadClientCertPath",
      "aadClientCertPassword",
      "userAssignedIdentityID",
      "useManagedIdentityExtension",
      "useFederatedWorkloadIdentityExtension",
      "other",
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(field, value), async (content) => {
        try {
          await read(content);
        } catch (error) {
          assert.ok(error instanceof KmsEtcdError);
          const shown = `${error.message} ${error.remedy ?? ""} ${error.stack ?? ""} ${String(error.cause)}`;
          assert.ok(!shown.includes("§secret§") && !shown.includes("12345678"), shown);
        }
      }),
      { numRuns: 200 },
    );
  });
});
