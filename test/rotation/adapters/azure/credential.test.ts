import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeError } from "../../../../core/errors";
import { azureCloud } from "../../../../rotation/adapters/azure/azure-cloud";
import { assertion, createCredential } from "../../../../rotation/adapters/azure/credential";

const principal = { ARM_TENANT_ID: "11111111-0000-4000-8000-000000000001", ARM_CLIENT_ID: "the-client" };
const kindOf = (environment: Record<string, string>) =>
  createCredential(environment, azureCloud(environment), {}).constructor.name;

describe("the credential for Azure", () => {
  it("azure-native's variables, in its order; without them what the Azure SDKs find", () => {
    const all = {
      ...principal,
      ARM_CLIENT_CERTIFICATE_PATH: "/certificate.pem",
      ARM_CLIENT_SECRET: "s",
      ARM_USE_OIDC: "true",
      ARM_USE_MSI: "true",
    };
    assert.equal(kindOf(all), "ClientCertificateCredential");
    assert.equal(kindOf({ ...all, ARM_CLIENT_CERTIFICATE_PATH: "" }), "ClientSecretCredential");
    assert.equal(kindOf({ ...principal, ARM_USE_OIDC: "1", ARM_USE_MSI: "true" }), "ClientAssertionCredential");
    assert.equal(kindOf({ ARM_USE_MSI: "True" }), "ManagedIdentityCredential");
    assert.equal(kindOf({ ARM_USE_OIDC: "false" }), "DefaultAzureCredential");
  });

  it("half of a service principal => the variable that is missing, and no secret in the message", () => {
    assert.throws(
      () => kindOf({ ARM_CLIENT_SECRET: "very-secret", ARM_TENANT_ID: "t" }),
      (thrown: unknown) =>
        describeError(thrown).includes("ARM_CLIENT_ID is not set") && !describeError(thrown).includes("very-secret"),
    );
  });

  it("the cloud => by ARM_ENVIRONMENT in any spelling; AZURE_AUTHORITY_HOST goes before it; nonsense is refused", () => {
    assert.equal(azureCloud({ ARM_ENVIRONMENT: "AzureUSGovernmentCloud" }).vaults, "vault.usgovcloudapi.net");
    assert.equal(azureCloud({ ARM_ENVIRONMENT: "china" }).graph, "https://microsoftgraph.chinacloudapi.cn");
    const mine = azureCloud({ AZURE_AUTHORITY_HOST: "https://login.stack.example" });
    assert.deepEqual([mine.authorityHost, mine.vaults], ["https://login.stack.example", "vault.azure.net"]);
    assert.throws(() => azureCloud({ ARM_ENVIRONMENT: "mars" }), /ARM_ENVIRONMENT is "mars"/);
  });

  describe("a pipeline's own identity token", () => {
    it("ARM_OIDC_TOKEN_FILE_PATH is read anew each time, because files like that are replaced", async () => {
      const directory = mkdtempSync(join(tmpdir(), "kms-etcd-oidc-"));
      const file = join(directory, "token");
      writeFileSync(file, "first");
      try {
        const environment = { ARM_OIDC_TOKEN_FILE_PATH: file };
        assert.equal(await assertion(environment), "first");
        writeFileSync(file, "second");
        assert.equal(await assertion(environment), "second");
        assert.equal(await assertion({ ARM_OIDC_TOKEN: "given", ...environment }), "given");
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

    it("ARM_OIDC_REQUEST_URL => asked with its token and the audience of Entra ID; a refusal says what to allow", async () => {
      const server = createServer((request, response) => {
        const url = new URL(request.url ?? "", "http://any");
        const right = request.headers.authorization === "Bearer of-the-run";
        response.statusCode = right ? 200 : 403;
        response.end(JSON.stringify({ value: url.searchParams.get("audience") }));
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token?x=1`;
      try {
        const environment = { ARM_OIDC_REQUEST_URL: url, ARM_OIDC_REQUEST_TOKEN: "of-the-run" };
        assert.equal(await assertion(environment), "api://AzureADTokenExchange");
        await assert.rejects(
          assertion({ ...environment, ARM_OIDC_REQUEST_TOKEN: "wrong" }),
          /answered 403 and no token/,
        );
        await assert.rejects(assertion({}), /ARM_USE_OIDC is set, but no token can be had/);
      } finally {
        server.close();
      }
    });
  });
});
