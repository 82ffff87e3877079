import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificateAuthority } from "../../../../control-plane/pki/certificate-authority";
import { type ConnectProxy, startConnectProxy } from "../../../fakes/aws/connect-proxy";
import { type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import { type AwsRig, awsProviders, environmentCredentials, inCall, type RigOptions, startRig } from "./rig";

const plaintext = Buffer.alloc(32, 7);

describe("connections to AWS KMS", () => {
  let rig: AwsRig | undefined;
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  it("are kept: one call after another needs two, many at once one each", async function () {
    this.timeout(20_000);
    rig = await startRig();
    const { provider, kms } = rig;
    for (let call = 0; call < 50; call += 1) await provider.encrypt(plaintext, inCall());
    assert.ok(kms.connections() <= 2, `${kms.connections()} connections for 50 calls in a row`);
    const caller = async (): Promise<void> => {
      for (let call = 0; call < 20; call += 1) await provider.encrypt(plaintext, inCall());
    };
    await Promise.all(Array.from({ length: 16 }, caller));
    assert.ok(kms.connections() <= 32, `${kms.connections()} connections for 320 calls, 16 at a time`);
    assert.equal(kms.requests.length, 370);
  });

  it("are shared by all keys, and closed with the last", async () => {
    rig = await startRig();
    const { kms } = rig;
    const before = kms.connections();
    const keys = [kms.keys.add(), kms.keys.add()].map((key) => ({ keyId: key.arn, encryptionContext: {} }));
    const [first, second] = awsProviders(kms, { keys });
    assert.ok(first && second);
    await first.encrypt(plaintext, inCall());
    await second.encrypt(plaintext, inCall());
    assert.ok(kms.connections() - before <= 2);
    await first.close();
    await first.close();
    await second.encrypt(plaintext, inCall());
    await second.close();
    await assert.rejects(second.encrypt(plaintext, inCall()), { code: "unreachable" });
  });
});

describe("TLS to AWS KMS", () => {
  let directory: string;
  let kms: KmsFake;
  let proxy: ConnectProxy;
  let caBundle: string;
  let credentials: { readonly key: string; readonly cert: string };
  let rig: AwsRig | undefined;

  before(async () => {
    const authority = await createCertificateAuthority("test CA");
    const pair = await authority.issue({ commonName: "kms", ipAddresses: ["127.0.0.1"] });
    directory = await mkdtemp(join(tmpdir(), "kms-etcd-aws-"));
    caBundle = join(directory, "ca.pem");
    await writeFile(caBundle, authority.certificate);
    credentials = { key: pair.privateKey, cert: pair.certificate };
    kms = await startKmsFake({ tls: credentials });
    proxy = await startConnectProxy();
  });
  afterEach(async () => {
    await rig?.provider.close();
    rig?.restoreEnvironment();
    rig = undefined;
  });
  after(async () => {
    await proxy.close();
    await kms.close();
    await rm(directory, { recursive: true });
  });

  const startWith = async (
    variables: Readonly<Record<string, string>>,
    options: Pick<RigOptions, "callTimeoutMs"> = {},
  ): Promise<AwsRig> => {
    rig = await startRig({ kms, environment: { ...environmentCredentials, ...variables }, ...options });
    return rig;
  };

  for (const variable of ["AWS_CA_BUNDLE", "SSL_CERT_FILE"]) {
    it(`trusts the authorities of ${variable}`, async () => {
      const { provider } = await startWith({ [variable]: caBundle });
      await provider.probe(AbortSignal.timeout(2_500));
    });
  }

  it("trusts no unknown authority, and says why", async () => {
    const { provider } = await startWith({});
    await assert.rejects(provider.probe(AbortSignal.timeout(2_500)), (error: Error & { code: string }) => {
      assert.equal(error.code, "unreachable");
      assert.match(error.message, /cannot be reached: UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
      return true;
    });
  });

  it("refuses an AWS_CA_BUNDLE that cannot be read when the key is opened", async () => {
    await assert.rejects(startWith({ AWS_CA_BUNDLE: join(directory, "missing.pem") }), {
      code: "invalid-input",
      message: `AWS_CA_BUNDLE names ${join(directory, "missing.pem")}, which cannot be read`,
    });
  });

  it("goes through HTTPS_PROXY, over a tunnel that is kept", async () => {
    const { provider } = await startWith({ AWS_CA_BUNDLE: caBundle, HTTPS_PROXY: proxy.url });
    const before = proxy.tunnels.length;
    for (let call = 0; call < 10; call += 1) await provider.encrypt(plaintext, inCall());
    const opened = proxy.tunnels.slice(before);
    assert.ok(opened.length >= 1 && opened.length <= 2, `${opened.length} tunnels`);
    assert.deepEqual([...new Set(opened)], [kms.url.replace("https://", "")]);
  });

  it("goes through a proxy that speaks TLS itself, with the same authorities", async () => {
    const { key, cert } = credentials;
    const secure = await startConnectProxy({ tls: { key, cert } });
    try {
      const { provider } = await startWith({ AWS_CA_BUNDLE: caBundle, HTTPS_PROXY: secure.url });
      for (let call = 0; call < 3; call += 1) await provider.encrypt(plaintext, inCall());
      assert.ok(secure.tunnels.length >= 1);
    } finally {
      await rig?.provider.close();
      await secure.close();
    }
  });

  it("works again soon after a proxy that was silent, however many calls have waited for it", async function () {
    this.timeout(30_000);
    const calls = { callTimeoutMs: 500 };
    const { provider } = await startWith({ AWS_CA_BUNDLE: caBundle, HTTPS_PROXY: proxy.url }, calls);
    proxy.isSilent = true;
    try {
      const failed = (): Promise<void> =>
        assert.rejects(provider.encrypt(plaintext, inCall("v2", 500)), { code: "timeout" });
      // More than there may be connections.
      await Promise.all(Array.from({ length: 100 }, failed));
    } finally {
      proxy.isSilent = false;
    }
    const started = performance.now();
    const works = (): Promise<boolean> =>
      provider.encrypt(plaintext, inCall("v2", 500)).then(
        () => true,
        () => false,
      );
    while (!(await works())) assert.ok(performance.now() - started < 20_000, "no call goes through any more");
  });

  it("passes the proxy by for hosts in NO_PROXY, and when only HTTP_PROXY is set", async () => {
    const before = proxy.tunnels.length;
    const exempt = await startWith({ AWS_CA_BUNDLE: caBundle, https_proxy: proxy.url, no_proxy: "127.0.0.1" });
    await exempt.provider.encrypt(plaintext, inCall());
    await exempt.provider.close();
    exempt.restoreEnvironment();
    const { provider } = await startWith({ AWS_CA_BUNDLE: caBundle, HTTP_PROXY: proxy.url });
    await provider.encrypt(plaintext, inCall());
    assert.equal(proxy.tunnels.length, before);
  });
});
