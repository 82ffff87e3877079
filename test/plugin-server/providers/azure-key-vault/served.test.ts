import assert from "node:assert/strict";
import { type ServiceError, status } from "@grpc/grpc-js";
import { loadLibraries } from "../../../../plugin-server/providers/azure-key-vault/load-libraries";
import { vaultError } from "../../../fakes/azure/faults";
import { type Served, useServe } from "../../support/served";
import { type AzureHost, startAzureHost } from "./azure-host";

/** From the API server's side of the socket to the vault and back, and what kubelet hears meanwhile. */
describe("a key in Azure Key Vault behind its socket", function () {
  this.timeout(20_000);
  const serve = useServe();
  const plaintext = Buffer.alloc(32, 7);
  let host: AzureHost;
  // A cold start takes longer than a call may where all of the machine is in use.
  before(() => void loadLibraries());
  beforeEach(async () => {
    host = await startAzureHost();
  });
  afterEach(() => host.close());

  async function served(): Promise<Served> {
    const provider = await host.open();
    return serve([provider], { kind: "azure", health: { host: "127.0.0.1", port: 0, explicit: true } });
  }
  function clientOf({ clients: [client] }: Served) {
    assert.ok(client);
    return client;
  }
  async function healthz({ plugin }: Served): Promise<readonly [number, string]> {
    const answer = await fetch(`http://127.0.0.1:${plugin.health?.port}/healthz`);
    return [answer.status, await answer.text()];
  }
  async function usable({ plugin }: Served): Promise<string | undefined> {
    const answer = await fetch(`http://127.0.0.1:${plugin.health?.port}/metrics`);
    return /^kms_etcd_key_usable\{.*\} (.*)$/m.exec(await answer.text())?.[1];
  }
  async function refused(call: Promise<unknown>, code: status, details: RegExp): Promise<void> {
    await assert.rejects(call, (error: ServiceError) => {
      assert.equal(status[error.code], status[code], error.details);
      assert.match(error.details, details);
      return true;
    });
  }
  /** As a vault or HSM that allows the other padding only. */
  function refuseAlgorithm(algorithm: string): () => void {
    const { vault } = host;
    const route = vault.route.bind(vault);
    let refusing = true;
    vault.route = (request) => {
      const routed = route(request);
      return refusing && request.body.includes(`"${algorithm}"`) && request.headers["authorization"] !== undefined
        ? { ...routed, answer: () => vaultError(400, "BadParameter", `Algorithm ${algorithm} is not allowed.`) }
        : routed;
    };
    return () => {
      refusing = false;
    };
  }

  it("is healthy without RSA1_5 while only KMS v2 uses it, and not once KMS v1 does", async () => {
    refuseAlgorithm("RSA1_5");
    const plugin = await served();
    const { v1, v2 } = clientOf(plugin);
    assert.equal((await v2.Status({})).healthz, "ok");
    await v2.Encrypt({ plaintext, uid: "" });
    await v1.Version({ version: "v1beta1" });
    assert.deepEqual(await healthz(plugin), [200, "ok"]);
    assert.equal(host.azure.requests.filter(({ body }) => body.includes("RSA1_5")).length, 0);
    await refused(
      v1.Encrypt({ version: "v1beta1", plain: plaintext }),
      status.FAILED_PRECONDITION,
      /refuses to encrypt .*RSA1_5/,
    );
    const [code, text] = await healthz(plugin);
    assert.equal(code, 503);
    assert.match(text, /^key [0-9a-f]{64}: key-unusable\n$/);
    assert.equal(await usable(plugin), "0");
    assert.equal((await v2.Status({})).healthz, "ok", "API servers with v2 go on");
    assert.ok(plugin.log.some((line) => line.includes("the key can't be used with KMS v1")));
  });

  it("is healthy for KMS v1 where RSA1_5 works, by real encryption and decryption", async () => {
    const plugin = await served();
    const { v1 } = clientOf(plugin);
    const { cipher } = await v1.Encrypt({ version: "v1beta1", plain: plaintext });
    assert.deepEqual(await healthz(plugin), [200, "ok"]);
    const { plain } = await v1.Decrypt({ version: "v1beta1", cipher });
    assert.deepEqual(Buffer.from(plain), plaintext);
    const probed = host.azure.requests.filter(({ path, body }) => path.endsWith("/decrypt") && body.includes("RSA1_5"));
    assert.equal(probed.length, 2, "the probe's own and the caller's");
    assert.equal(await usable(plugin), "1");
  });

  it("that can't encrypt is at fault itself, and not the 32 bytes that an API server sends", async () => {
    refuseAlgorithm("RSA-OAEP-256");
    const plugin = await served();
    const { v2 } = clientOf(plugin);
    const own = /refuses to encrypt .*; the key must be of type RSA or RSA-HSM, and its vault must allow RSA-OAEP-256/;
    await refused(v2.Status({}), status.FAILED_PRECONDITION, own);
    await refused(v2.Encrypt({ plaintext, uid: "" }), status.FAILED_PRECONDITION, own);
    assert.match((await healthz(plugin))[1], /: key-unusable\n$/);
    await refused(
      v2.Encrypt({ plaintext: Buffer.alloc(191), uid: "" }),
      status.INVALID_ARGUMENT,
      /the data shorter than its size allows/,
    );
  });

  it("that can't decrypt what it has just encrypted is at fault itself, and not a stored value", async () => {
    const answer = vaultError(400, "BadParameter", "The parameter is incorrect.");
    host.azure.faults.order("decrypt", { kind: "answer", answer }, 99);
    const { v2 } = clientOf(await served());
    await refused(v2.Status({}), status.FAILED_PRECONDITION, /cannot decrypt this .*the key must be of type RSA/);
    const encrypted = await v2.Encrypt({ plaintext, uid: "" });
    await refused(v2.Decrypt({ ...encrypted, uid: "" }), status.INVALID_ARGUMENT, /the stored value is damaged/);
  });
});
