import assert from "node:assert/strict";
import { Agent } from "undici";
import { type FakeAzure, startFakeAzure } from "./azure-cloud";
import type { FakeVault } from "./key-vault";
import type { VaultKeyVersion } from "./vault-keys";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: { readonly error?: { readonly code?: string }; readonly [name: string]: unknown };
}

describe("the fake Azure refuses what Azure refuses", function () {
  this.timeout(20_000);
  let azure: FakeAzure;
  let client: Agent;
  let vault: FakeVault;
  let key: VaultKeyVersion;
  let token: string;
  before(async () => {
    azure = await startFakeAzure();
    client = new Agent({ connect: azure.connect });
    vault = azure.addVault("myvault");
    key = vault.keys.add({ name: "mykey" });
    const identity = azure.metadata.assign({ tenantId: vault.tenantId, systemAssigned: true });
    vault.grant(identity.objectId, "encrypt", "decrypt", "get");
    token = azure.entra.issue(identity, "https://vault.azure.net").accessToken;
  });
  after(async () => {
    await client.destroy();
    await azure.close();
  });

  async function ask(
    url: string,
    options: { method?: string; headers?: Record<string, string>; body?: string } = {},
  ): Promise<Answer> {
    const { origin, pathname, search } = new URL(url);
    const response = await client.request({
      origin,
      path: pathname + search,
      method: options.method ?? "GET",
      headers: options.headers ?? {},
      body: options.body ?? null,
    });
    const text = await response.body.text();
    return {
      status: response.statusCode,
      headers: response.headers,
      body: (text.startsWith("{") ? JSON.parse(text) : {}) as Answer["body"],
    };
  }

  const encryptUrl = (version = "7.4", rest = "encrypt") =>
    `https://myvault.vault.azure.net/keys/mykey/${key.version}/${rest}?api-version=${version}`;
  const body = JSON.stringify({ alg: "RSA-OAEP-256", value: "AAAA" });
  const post = (url: string, changes: { token?: string; type?: string; body?: string; method?: string } = {}) =>
    ask(url, {
      method: changes.method ?? "POST",
      headers: {
        ...(changes.token === "" ? {} : { authorization: `Bearer ${changes.token ?? token}` }),
        "content-type": changes.type ?? "application/json",
      },
      body: changes.body ?? body,
    });

  it("takes a request that is in order", async () => {
    const { status, body: answer } = await post(encryptUrl());
    assert.equal(status, 200);
    assert.equal(answer["kid"], key.kid);
  });

  it("takes the SDK's spelling of the query", async () => {
    assert.equal((await post(encryptUrl().replace("api-version", "api%2Dversion"))).status, 200);
  });

  it("challenges a request without a token, and names tenant and audience", async () => {
    const { status, headers, body: answer } = await post(encryptUrl(), { token: "" });
    assert.equal(status, 401);
    assert.equal(answer.error?.code, "Unauthorized");
    assert.equal(
      headers["www-authenticate"],
      `Bearer authorization="https://login.microsoftonline.com/${vault.tenantId}", resource="https://vault.azure.net"`,
    );
  });

  it("refuses tokens that are not for it", async () => {
    const principal = { objectId: "o", clientId: "c", tenantId: vault.tenantId };
    const other = azure.entra.issue(principal, "https://management.azure.com").accessToken;
    const foreign = azure.entra.issue({ ...principal, tenantId: "another" }, "https://vault.azure.net").accessToken;
    const damaged = `${token.slice(0, -4)}AAAA`;
    const plain = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${token.split(".")[1] ?? ""}.`;
    for (const wrong of [other, foreign, damaged, plain, "nonsense"]) {
      assert.equal((await post(encryptUrl(), { token: wrong })).status, 401);
    }
    azure.clockAheadMs = 2 * 3_600_000;
    assert.equal((await post(encryptUrl())).status, 401, "an expired one");
    azure.clockAheadMs = -2 * 3_600_000;
    assert.equal((await post(encryptUrl())).status, 401, "one of the future");
    azure.clockAheadMs = 0;
  });

  const refusals: readonly (readonly [string, () => Promise<Answer>, number, string])[] = [
    ["an unknown api-version", () => post(encryptUrl("1.0")), 400, "BadParameter"],
    ["no api-version", () => post(encryptUrl().split("?")[0] ?? ""), 400, "BadParameter"],
    ["another content type", () => post(encryptUrl(), { type: "text/plain" }), 415, "UnsupportedMediaType"],
    ["another method", () => post(encryptUrl(), { method: "PUT" }), 405, "MethodNotAllowed"],
    ["an unknown operation", () => post(encryptUrl("7.4", "hash")), 404, "NotFound"],
    ["an unknown path", () => post("https://myvault.vault.azure.net/nothing?api-version=7.4"), 404, "NotFound"],
    ["an unknown vault", () => post(encryptUrl().replace("myvault", "nobody")), 404, "NotFound"],
    ["an unknown version", () => post(encryptUrl().replace(key.version, "0".repeat(32))), 404, "KeyNotFound"],
    ["an operation without permission", () => post(encryptUrl("7.4", "wrapkey")), 403, "Forbidden"],
    ["an unknown algorithm", () => post(encryptUrl(), { body: '{"alg":"RSA","value":"AAAA"}' }), 400, "BadParameter"],
    ["padded base64url", () => post(encryptUrl(), { body: '{"alg":"RSA1_5","value":"AA=="}' }), 400, "BadParameter"],
    ["no value", () => post(encryptUrl(), { body: '{"alg":"RSA1_5"}' }), 400, "BadParameter"],
    ["no JSON", () => post(encryptUrl(), { body: "{" }), 400, "BadParameter"],
    ["a short ciphertext", () => post(encryptUrl("7.4", "decrypt")), 400, "BadParameter"],
    [
      "a plaintext that is too long",
      () =>
        post(encryptUrl(), {
          body: JSON.stringify({ alg: "RSA-OAEP-256", value: Buffer.alloc(191).toString("base64url") }),
        }),
      400,
      "BadParameter",
    ],
  ];
  for (const [name, attempt, status, code] of refusals) {
    it(`a vault refuses ${name}`, async () => {
      const answer = await attempt();
      assert.equal(answer.status, status);
      assert.equal(answer.body.error?.code, code);
    });
  }

  it("a vault shows the public key to whom it may be shown, by version or the newest, and no more of it", async () => {
    for (const version of [key.version, ""]) {
      const { status, body: answer } = await ask(
        `https://myvault.vault.azure.net/keys/mykey/${version}?api-version=7.4`,
        {
          headers: { authorization: `Bearer ${token}` },
        },
      );
      assert.equal(status, 200);
      const shown = answer["key"] as Record<string, unknown>;
      assert.deepEqual(Object.keys(shown).sort(), ["e", "key_ops", "kid", "kty", "n"]);
      assert.equal(shown["kid"], key.kid);
    }
  });

  describe("at the metadata service", () => {
    const url =
      "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
    const metadata = { metadata: "true" };

    it("answers with and without a slash at the end", async () => {
      for (const address of [url, url.replace("token?", "token/?")]) {
        const { status, body: answer } = await ask(address, { headers: metadata });
        assert.equal(status, 200);
        assert.deepEqual(
          [answer["token_type"], answer["expires_in"], answer["resource"]],
          ["Bearer", "3600", "https://vault.azure.net"],
        );
      }
    });

    for (const [name, address, headers] of [
      ["without its header", url, {}],
      ["that was relayed", url, { ...metadata, "x-forwarded-for": "10.0.0.1" }],
      ["of another version", url.replace("2018-02-01", "2020-01-01"), metadata],
      ["for an identity that the machine does not have", `${url}&client_id=nobody`, metadata],
      ["with an unknown parameter", `${url}&scope=all`, metadata],
    ] as const) {
      it(`refuses a request ${name}`, async () => {
        const { status, body: answer } = await ask(address, { headers });
        assert.equal(status, 400);
        assert.equal(answer["error"], "invalid_request");
      });
    }
  });

  describe("at Entra", () => {
    it("refuses what is no client credentials grant for a resource that it knows", async () => {
      const { tenantId, clientId } = azure.entra.addApplication({ secret: "right" });
      const grant = {
        grant_type: "client_credentials",
        client_id: clientId,
        client_secret: "right",
        scope: "https://vault.azure.net/.default",
      };
      const request = (form: Record<string, string>, type = "application/x-www-form-urlencoded", tenant = tenantId) =>
        ask(`https://login.microsoftonline.com/${tenant}/oauth2/v2.0/token`, {
          method: "POST",
          headers: { "content-type": type },
          body: new URLSearchParams(form).toString(),
        });
      assert.equal((await request(grant)).status, 200);
      const { client_secret: _, ...withoutSecret } = grant;
      const numbers = [
        await request({ ...grant, grant_type: "password" }),
        await request({ ...grant, client_secret: "wrong" }),
        await request({ ...grant, client_id: "nobody" }),
        await request({ ...grant, scope: "https://other.example/.default" }),
        await request(withoutSecret),
        await request(grant, "application/json"),
        await request(grant, undefined, "no-tenant"),
      ].map(({ body: answer }) => (answer["error_codes"] as readonly number[])[0]);
      assert.deepEqual(numbers, [70003, 7000215, 700016, 500011, 7000218, 900144, 900023]);
    });

    it("has the older endpoint too, which Azure/kubernetes-kms uses", async () => {
      const { tenantId, clientId } = azure.entra.addApplication({ secret: "right" });
      const { status, body: answer } = await ask(`https://login.microsoftonline.com/${tenantId}/oauth2/token`, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: clientId,
          client_secret: "right",
          resource: "https://vault.azure.net",
        }).toString(),
      });
      assert.equal(status, 200);
      assert.equal(answer["resource"], "https://vault.azure.net");
      assert.equal(typeof answer["expires_on"], "string");
    });
  });
});
