import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createAzureKeyVaultProvider } from "../../../../plugin-server/providers/azure-key-vault";
import type { FakeVault } from "../../../fakes/azure/key-vault";
import { signToken } from "../../../fakes/azure/signed-token";
import { type AzureHost, callContext, startAzureHost } from "./azure-host";
import { writtenKeys } from "./kubernetes-kms-values";

const certificateForms = JSON.parse(readFileSync(join(__dirname, "client-certificate-forms.json"), "utf8")) as Readonly<
  Record<
    "password" | "certificate" | "pem" | "encryptedPem" | "pkcs12" | "legacyPkcs12" | "pkcs12WithoutPassword",
    string
  >
>;

describe("authentication of the Azure Key Vault provider", function () {
  this.timeout(20_000);
  let host: AzureHost;
  beforeEach(async () => {
    host = await startAzureHost();
  });
  afterEach(() => host.close());

  async function works(
    environment: NodeJS.ProcessEnv = {},
    changes: Parameters<AzureHost["open"]>[0] = {},
  ): Promise<void> {
    const provider = await host.open(changes, environment);
    const encrypted = await provider.encrypt(Buffer.from("a key"), callContext());
    assert.equal(Buffer.from(await provider.decrypt(encrypted, callContext())).toString(), "a key");
  }

  async function fails(message: RegExp, environment: NodeJS.ProcessEnv = {}): Promise<void> {
    const provider = await host.open({}, environment);
    const error = await provider.encrypt(Buffer.from("a key"), callContext()).then(
      () => assert.fail("the call must fail"),
      (thrown: unknown) => thrown as Error,
    );
    assert.match(error.message, message);
  }

  function application(given: Parameters<AzureHost["azure"]["entra"]["addApplication"]>[0] = {}) {
    const added = host.azure.entra.addApplication({ tenantId: host.vault.tenantId, ...given });
    host.vault.grant(added.objectId, "encrypt", "decrypt");
    return added;
  }

  describe("as seed 004 has it", () => {
    it("a system-assigned identity", async () => {
      await host.writeAzureJson({ useManagedIdentityExtension: true, userAssignedIdentityID: "" });
      await works();
    });

    it("a user-assigned identity, by client id", async () => {
      const identity = host.azure.metadata.assign({ tenantId: host.vault.tenantId });
      host.vault.revoke(host.identity.objectId);
      host.vault.grant(identity.objectId, "encrypt", "decrypt");
      await host.writeAzureJson({ useManagedIdentityExtension: true, userAssignedIdentityID: identity.clientId });
      await works();
    });

    it("a service principal with a secret, in the seed's spelling of the fields", async () => {
      const { clientId, tenantId } = application({ secret: "a secret" });
      await host.writeAzureJson({ tenantId, aadClientID: clientId, aadClientSecret: "a secret" });
      await works();
    });
  });

  it("a user-assigned identity, by resource id", async () => {
    const identity = host.azure.metadata.assign({ tenantId: host.vault.tenantId });
    host.vault.grant(identity.objectId, "encrypt", "decrypt");
    await host.writeAzureJson({ useManagedIdentityExtension: true, userAssignedIdentityID: identity.resourceId });
    await works();
  });

  it("a managed identity wins over a service principal, as with the peer", async () => {
    await host.writeAzureJson({
      useManagedIdentityExtension: true,
      tenantId: "any",
      aadClientId: "msi",
      aadClientSecret: "msi",
    });
    await works();
  });

  for (const [form, file, password] of [
    ["pkcs12", "principal.pfx", true],
    ["legacyPkcs12", "principal.pfx", true],
    ["pkcs12WithoutPassword", "principal.pfx", false],
    ["pem", "principal.pem", false],
    ["encryptedPem", "principal.pem", true],
  ] as const) {
    it(`a service principal with a certificate (${form})`, async () => {
      const { clientId, tenantId } = application({ certificate: certificateForms.certificate });
      const path = join(host.directory, file);
      await writeFile(
        path,
        file.endsWith(".pfx") ? Buffer.from(certificateForms[form], "base64") : certificateForms[form],
      );
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        aadClientCertPath: path,
        ...(password ? { aadClientCertPassword: certificateForms.password } : {}),
      });
      await works();
    });
  }

  describe("with workload identity", () => {
    const issuer = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const federated = {
      issuer: "https://issuer.example/",
      subject: "system:serviceaccount:kube-system:kms",
      audience: "api://AzureADTokenExchange",
      key: issuer.publicKey,
    };
    const token = (changes: Readonly<Record<string, unknown>> = {}): string =>
      signToken(
        {
          iss: federated.issuer,
          sub: federated.subject,
          aud: federated.audience,
          exp: Math.floor(Date.now() / 1_000) + 600,
          ...changes,
        },
        issuer.privateKey,
      );
    let tokenFile: string;
    beforeEach(() => {
      tokenFile = join(host.directory, "token");
    });

    it("by azure.json", async () => {
      const { clientId, tenantId } = application({ federated });
      await writeFile(tokenFile, token());
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        useFederatedWorkloadIdentityExtension: true,
        aadFederatedTokenFile: tokenFile,
      });
      await works();
    });

    it("by the webhook's environment alone, without an azure.json", async () => {
      const { clientId, tenantId } = application({ federated });
      await writeFile(tokenFile, token());
      await works(
        {
          AZURE_CLIENT_ID: clientId,
          AZURE_TENANT_ID: tenantId,
          AZURE_FEDERATED_TOKEN_FILE: tokenFile,
          AZURE_AUTHORITY_HOST: "https://login.microsoftonline.com/",
        },
        { credentialsFile: join(host.directory, "no-such.json") },
      );
    });

    it("the service account's token is read again for each token of Entra", async () => {
      const { clientId, tenantId } = application({ federated });
      await writeFile(tokenFile, token({ exp: 1 }));
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        useFederatedWorkloadIdentityExtension: true,
        aadFederatedTokenFile: tokenFile,
      });
      const provider = await host.open();
      await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), { code: "key-unusable" });
      await writeFile(tokenFile, token());
      await eventually(() => provider.probe(AbortSignal.timeout(2_900)));
    });

    it("names the file when the service account is not the application's", async () => {
      const { clientId, tenantId } = application({ federated });
      await writeFile(tokenFile, token({ sub: "system:serviceaccount:default:default" }));
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        useFederatedWorkloadIdentityExtension: true,
        aadFederatedTokenFile: tokenFile,
      });
      await fails(
        /aadFederatedTokenFile holds a token whose subject .* \(Entra ID at login.microsoftonline.com: status 401, AADSTS700213\)/,
      );
    });

    it("names the file that is not there", async () => {
      const { clientId, tenantId } = application({ federated });
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        useFederatedWorkloadIdentityExtension: true,
        aadFederatedTokenFile: join(host.directory, "missing"),
      });
      await fails(/aadFederatedTokenFile.*ENOENT/);
    });
  });

  describe("with something wrong in azure.json", () => {
    const secret = "Xy7~super-secret-value";

    it("names aadClientSecret, and never shows it", async () => {
      const { clientId, tenantId } = application({ secret: "another" });
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: secret });
      const provider = await host.open();
      const error = await provider.probe(AbortSignal.timeout(2_900)).then(
        () => assert.fail("must fail"),
        (thrown: unknown) => thrown as Error,
      );
      assert.match(error.message, /aadClientSecret is not a secret of this application .*AADSTS7000215/);
      assert.ok(!JSON.stringify(error, Object.getOwnPropertyNames(error)).includes(secret));
      assert.ok(!String(error.stack).includes(secret) && !String(error.cause).includes(secret));
    });

    it("names aadClientId", async () => {
      const { tenantId } = application({ secret });
      await host.writeAzureJson({
        tenantId,
        aadClientId: "00000000-0000-0000-0000-000000000000",
        aadClientSecret: secret,
      });
      await fails(/azure.json: aadClientId is no application of the tenant/);
    });

    it("names tenantId", async () => {
      const { clientId } = application({ secret });
      await host.writeAzureJson({
        tenantId: "11111111-1111-1111-1111-111111111111",
        aadClientId: clientId,
        aadClientSecret: secret,
      });
      await fails(/azure.json: tenantId is no tenant of this cloud/);
    });

    it("names tenantId where the vault belongs to another tenant", async () => {
      const { clientId, tenantId } = host.azure.entra.addApplication({ secret });
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: secret });
      await fails(/refuses the token \(status 401, Unauthorized\/AKV10032/);
    });

    it("names userAssignedIdentityID", async () => {
      await host.writeAzureJson({
        useManagedIdentityExtension: true,
        userAssignedIdentityID: "22222222-2222-2222-2222-222222222222",
      });
      await fails(/azure.json: userAssignedIdentityID names no identity of this host/);
    });

    it("names aadClientCertPassword", async () => {
      const { clientId, tenantId } = application({ certificate: certificateForms.certificate });
      const path = join(host.directory, "principal.pfx");
      await writeFile(path, Buffer.from(certificateForms.pkcs12, "base64"));
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        aadClientCertPath: path,
        aadClientCertPassword: secret,
      });
      await fails(/azure.json: aadClientCertPassword does not open/);
    });

    it("names aadClientCertPath for a certificate that the application does not have", async () => {
      const { clientId, tenantId } = application({ secret });
      const path = join(host.directory, "principal.pem");
      await writeFile(path, certificateForms.pem);
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientCertPath: path });
      await fails(/azure.json: aadClientCertPath names a certificate that the application does not have/);
    });

    it("names the fields when no request can be made from them", async () => {
      const { clientId, tenantId } = application({ certificate: certificateForms.certificate });
      await host.writeAzureJson({ tenantId: "no tenant!", aadClientId: clientId, aadClientSecret: secret });
      await fails(/azure.json: no token can be asked for with tenantId, aadClientId and aadClientSecret/);
      const path = join(host.directory, "principal.pem");
      await writeFile(path, certificateForms.encryptedPem);
      await host.writeAzureJson({
        tenantId,
        aadClientId: clientId,
        aadClientCertPath: path,
        aadClientCertPassword: secret,
      });
      await fails(/with tenantId, aadClientId, aadClientCertPath and aadClientCertPassword: ERR_OSSL_\w+/);
    });

    it("takes a corrected file without a restart", async () => {
      const { clientId, tenantId } = application({ secret });
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: "wrong" });
      const provider = await host.open();
      await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), { code: "key-unusable" });
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: secret });
      await eventually(() => provider.probe(AbortSignal.timeout(2_900)));
    });
  });

  describe("in other clouds", () => {
    function vaultOf(suffix: string, authority: string): FakeVault {
      const vault = host.azure.addVault("myvault", { suffix, authority, tenantId: host.vault.tenantId });
      vault.keys.add({ name: "mykey", version: host.key.version, privateKeyPem: writtenKeys[0]?.privateKeyPem ?? "" });
      return vault;
    }

    for (const [cloud, suffix, authority] of [
      // MSAL's newer name for login.chinacloudapi.cn.
      ["AzureChinaCloud", "vault.azure.cn", "https://login.partner.microsoftonline.cn"],
      ["AzureUSGovernmentCloud", "vault.usgovcloudapi.net", "https://login.microsoftonline.us"],
    ] as const) {
      it(`${cloud}: its login host, its vaults, its audience`, async () => {
        const vault = vaultOf(suffix, authority);
        const { clientId, tenantId, objectId } = application({ secret: "a secret" });
        vault.grant(objectId, "encrypt", "decrypt");
        await host.writeAzureJson({ cloud, tenantId, aadClientId: clientId, aadClientSecret: "a secret" });
        await works();
        const hosts = new Set(host.azure.requests.map((request) => request.host));
        assert.deepEqual([...hosts].sort(), [new URL(authority).host, `myvault.${suffix}`].sort());
      });
    }

    it("AzureStackCloud: what the operator's file says", async () => {
      const vault = vaultOf("vault.stack.example", "https://login.stack.example");
      const file = join(host.directory, "stack.json");
      await writeFile(
        file,
        JSON.stringify({
          name: "AzureStackCloud",
          activeDirectoryEndpoint: "https://login.stack.example/",
          keyVaultEndpoint: "https://vault.stack.example/",
          keyVaultDNSSuffix: "vault.stack.example",
          resourceIdentifiers: { keyVault: "https://vault.stack.example" },
        }),
      );
      const { clientId, tenantId, objectId } = application({ secret: "a secret" });
      vault.grant(objectId, "encrypt", "decrypt");
      await host.writeAzureJson({
        cloud: "AzureStackCloud",
        tenantId,
        aadClientId: clientId,
        aadClientSecret: "a secret",
      });
      await works({ AZURE_ENVIRONMENT_FILEPATH: file });
    });

    it("a managed HSM: its address and its audience", async () => {
      const hsm = vaultOf("managedhsm.azure.net", "https://login.microsoftonline.com");
      hsm.grant(host.identity.objectId, "encrypt", "decrypt");
      await works({}, { managedHsm: true });
      const provider = await host.open({ managedHsm: true });
      assert.equal(provider.description["vault"], "https://myvault.managedhsm.azure.net");
      await assert.rejects(
        (async () => {
          await host.writeAzureJson({ cloud: "AzureGermanCloud", useManagedIdentityExtension: true });
          await host.open({ managedHsm: true });
        })(),
        { code: "unsupported" },
      );
    });

    for (const [resource, message] of [
      // In the vault's own domain, so that only azure.json tells that it is wrong.
      ["https://azure.net", /azure.json: cloud does not fit the vault, which wants tokens for https:\/\/azure\.net/],
      ["https://management.azure.com", /not Key Vault: it asks for a token of another service/],
    ] as const) {
      it(`a vault that wants tokens for ${resource} gets none`, async () => {
        const provider = await host.open();
        const challenge = `Bearer authorization="https://login.microsoftonline.com/t", resource="${resource}"`;
        host.azure.faults.order(
          "challenge",
          {
            kind: "change",
            change: (answer) => ({ ...answer, headers: { ...answer.headers, "www-authenticate": challenge } }),
          },
          100,
        );
        await assert.rejects(provider.probe(AbortSignal.timeout(2_900)), message);
        const carried = host.azure.requests.filter(
          (request) => request.host === host.vault.host && request.headers["authorization"] !== undefined,
        );
        assert.deepEqual(carried, []);
      });
    }
  });

  describe("through a proxy", () => {
    it("proxy mode: vault and Entra by plain HTTP, each with its mark, and the same key_id", async () => {
      const { clientId, tenantId } = application({ secret: "a secret" });
      await host.writeAzureJson({ tenantId, aadClientId: clientId, aadClientSecret: "a secret" });
      const direct = (await host.open()).keyId;
      const proxy = { address: "127.0.0.1", port: host.azure.plainPort };
      await works({}, { proxy });
      const marked = host.azure.requests.map((request) => request.headers["x-azure-proxy-target"]);
      assert.deepEqual([...new Set(marked)].sort(), ["AzureActiveDirectory", "KeyVault"]);
      const vaultPaths = host.azure.requests.filter(
        (request) => request.headers["x-azure-proxy-target"] === "KeyVault",
      );
      for (const { path } of vaultPaths)
        assert.match(path, /^\/myvault\.vault\.azure\.net\/keys\/mykey\/\w+\/(en|de)crypt$/);
      assert.equal((await host.open({ proxy })).keyId, direct);
      assert.equal(host.azure.connections(), 0);
    });

    it("proxy mode leaves managed identities alone, as with the peer", async () => {
      await works({}, { proxy: { address: "127.0.0.1", port: host.azure.plainPort } });
      const identityRequests = host.azure.requests.filter((request) => request.path.startsWith("/metadata/"));
      assert.ok(identityRequests.length > 0);
      for (const { headers } of identityRequests) assert.equal(headers["x-azure-proxy-target"], undefined);
    });
  });

  describe("before the first call", () => {
    it("a missing azure.json stops the start, and the error names it", async () => {
      const file = join(host.directory, "none.json");
      await assert.rejects(host.open({ credentialsFile: file }), {
        code: "not-found",
        message: `${file} cannot be read: ENOENT`,
      });
    });

    it("an unknown cloud stops the start", async () => {
      await host.writeAzureJson({ cloud: "AzureMoonCloud", useManagedIdentityExtension: true });
      await assert.rejects(host.open(), { code: "invalid-input", message: "azure.json: cloud names no Azure cloud" });
    });

    it("a vault that is down does not", async () => {
      host.azure.faults.order("challenge", { kind: "reset" }, 1_000);
      const provider = await host.open();
      assert.match(provider.keyId, /^[0-9a-f]{64}$/);
    });

    it("calls out of order name both calls", async () => {
      const provider = createAzureKeyVaultProvider(host.config(), { connect: host.azure.connect, environment: {} });
      await assert.rejects(provider.encrypt(Buffer.from("a key"), callContext()), /encrypt was called before open/);
      await provider.close();
    });
  });
});

/** For what needs the next token: after a refusal the issuer is asked again only after a while. */
async function eventually(attempt: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      await attempt();
      return;
    } catch (thrown) {
      if (performance.now() > deadline) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
