import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import { type MetadataFake, startMetadataFake, startSilentServer } from "../../../fakes/aws/metadata-fake";
import type { AccessKey } from "../../../fakes/aws/sigv4";
import { type StsFake, startStsFake } from "../../../fakes/aws/sts-fake";
import { type AwsRig, apiServerLimitMs, inCall, type RigOptions, startRig } from "./rig";

const plaintext = Buffer.alloc(32, 7);

describe("credentials for AWS KMS", () => {
  let kms: KmsFake;
  let rig: AwsRig | undefined;
  /** Whether AWS accepts the keys that are issued from now on. */
  let accepted: boolean;
  let lifetimeMs: number;
  let serial: number;

  beforeEach(async () => {
    kms = await startKmsFake({ region: "eu-west-1" });
    kms.accessKeys.clear();
    accepted = true;
    lifetimeMs = 3_600_000;
    serial = 0;
  });
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
    await kms.close();
  });

  function issue(): AccessKey {
    serial += 1;
    const key = {
      accessKeyId: `ASIAFAKE${serial}`,
      secretAccessKey: `fake secret ${serial}`,
      sessionToken: `fake session token ${serial}`,
      expiresAt: Date.now() + lifetimeMs,
    };
    if (accepted) kms.accessKeys.set(key.accessKeyId, key);
    return key;
  }

  /** AWS ends every session, before its time. */
  function endSessions(): void {
    for (const [id, key] of kms.accessKeys) kms.accessKeys.set(id, { ...key, expiresAt: 0 });
  }

  async function start(environment: Readonly<Record<string, string>>, options: RigOptions = {}): Promise<AwsRig> {
    rig = await startRig({ kms, environment, ...options });
    return rig;
  }

  describe("from the instance metadata service", () => {
    let metadata: MetadataFake;
    let variables: Readonly<Record<string, string>>;

    beforeEach(async () => {
      metadata = await startMetadataFake(issue);
      variables = { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url };
    });
    afterEach(() => metadata.close());

    it("come through version 2, once for many calls", async () => {
      const { provider } = await start(variables);
      await Promise.all(Array.from({ length: 8 }, () => provider.encrypt(plaintext, inCall())));
      await provider.probe(AbortSignal.timeout(2_500));
      assert.equal(metadata.issued(), 1);
      assert.equal(kms.requests.at(-1)?.headers["x-amz-security-token"], "fake session token 1");
    });

    it("are renewed while calls go on, before they expire", async () => {
      lifetimeMs = 120_000;
      const { provider } = await start(variables);
      const seen = new Set<unknown>();
      const deadline = performance.now() + 3_000;
      while (seen.size < 2 && performance.now() < deadline) {
        await provider.encrypt(plaintext, inCall());
        seen.add(kms.requests.at(-1)?.headers["x-amz-security-token"]);
      }
      assert.deepEqual([...seen], ["fake session token 1", "fake session token 2"]);
    });

    it("are replaced inside the call when AWS has ended the session, by all calls at once", async () => {
      const { provider } = await start(variables);
      await provider.encrypt(plaintext, inCall());
      endSessions();
      await Promise.all(Array.from({ length: 8 }, () => provider.encrypt(plaintext, inCall())));
      assert.equal(metadata.issued(), 2);
    });

    it("are not asked for again and again when the role is revoked", async () => {
      accepted = false;
      const { provider } = await start(variables);
      for (let call = 0; call < 20; call += 1) {
        await assert.rejects(provider.encrypt(plaintext, inCall()), { code: "permission-denied" });
      }
      assert.equal(metadata.issued(), 2);
    });

    it("come with the region, where nothing else names it", async () => {
      kms.keys.add({ alias: "alias/etcd" });
      const config = { keys: [{ keyId: "alias/etcd", encryptionContext: {} }] };
      const { provider } = await start(variables, { config });
      assert.equal(provider.description["region"], "to be asked of the instance metadata service");
      await provider.probe(AbortSignal.timeout(2_500));
      assert.equal(provider.description["region"], "eu-west-1");
    });
  });

  describe("from an instance metadata service that does not answer", () => {
    it("or answers with status 500 pass: the code is that of a service which is away", async () => {
      const broken = createServer((_request, response) => response.writeHead(500).end("oops"));
      broken.listen(0, "127.0.0.1");
      await once(broken, "listening");
      const { port } = broken.address() as AddressInfo;
      try {
        const AWS_EC2_METADATA_SERVICE_ENDPOINT = `http://127.0.0.1:${port}`;
        const { provider } = await start({ AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT });
        await assert.rejects(provider.encrypt(plaintext, inCall()), {
          code: "unreachable",
          message: /no AWS credentials were found, at the instance metadata service neither$/,
        });
      } finally {
        broken.close();
      }
    });

    it("end the call in time", async () => {
      const silent = await startSilentServer();
      const variables = { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.url };
      const { provider } = await start(variables);
      const started = performance.now();
      await assert.rejects(provider.encrypt(plaintext, inCall()), (error: Error & { code: string }) => {
        assert.ok(["unreachable", "timeout"].includes(error.code), inspect(error));
        return true;
      });
      assert.ok(performance.now() - started < apiServerLimitMs);
      await silent.close();
    });

    it("end the search for the region in time, and it begins anew with the next call", async () => {
      const silent = await startSilentServer();
      const variables = { AWS_EC2_METADATA_DISABLED: "false", AWS_EC2_METADATA_SERVICE_ENDPOINT: silent.url };
      const config = { keys: [{ keyId: "alias/etcd", encryptionContext: {} }] };
      const { provider } = await start(variables, { config });
      for (let call = 0; call < 2; call += 1) {
        await assert.rejects(provider.encrypt(plaintext, inCall("v2", 300)), {
          code: "unreachable",
          remedy: "pass --region",
        });
      }
      await silent.close();
    });
  });

  describe("from a web identity", () => {
    let sts: StsFake;
    let directory: string;
    let tokenFile: string;
    let variables: Readonly<Record<string, string>>;

    beforeEach(async () => {
      sts = await startStsFake((token) => token.startsWith("good web identity"), issue);
      directory = await mkdtemp(join(tmpdir(), "kms-etcd-aws-"));
      tokenFile = join(directory, "token");
      await writeFile(tokenFile, "good web identity 1");
      variables = {
        AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/control-plane",
        AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
        AWS_ENDPOINT_URL_STS: sts.url,
      };
    });
    afterEach(async () => {
      await sts.close();
      await rm(directory, { recursive: true });
    });

    it("are exchanged and kept, and again with the token that stands in the file then", async function () {
      // The SDK loads its STS client for the first exchange.
      this.timeout(20_000);
      const { provider } = await start(variables);
      await provider.probe(AbortSignal.timeout(10_000));
      // A second attempt begins after a second of silence, so a slow first exchange may have been made twice.
      assert.deepEqual([...new Set(sts.tokens)], ["good web identity 1"]);
      const exchanges = sts.tokens.length;
      await provider.probe(AbortSignal.timeout(10_000));
      assert.equal(sts.tokens.length, exchanges);
      await writeFile(tokenFile, "good web identity 2");
      endSessions();
      await provider.probe(AbortSignal.timeout(10_000));
      assert.deepEqual([...new Set(sts.tokens)], ["good web identity 1", "good web identity 2"]);
    });

    it("are not in the file that is named: names it, and is no passing failure", async () => {
      const { provider } = await start({ ...variables, AWS_WEB_IDENTITY_TOKEN_FILE: join(directory, "absent") });
      await assert.rejects(provider.encrypt(plaintext, inCall()), {
        code: "permission-denied",
        message: /could not be asked, because .*absent can't be read: ENOENT$/,
      });
    });

    it("are not to be had while AWS STS fails: says whose failure it is", async () => {
      const broken = createServer((_request, response) => response.writeHead(500).end("oops"));
      broken.listen(0, "127.0.0.1");
      await once(broken, "listening");
      const { port } = broken.address() as AddressInfo;
      try {
        const { provider } = await start({ ...variables, AWS_ENDPOINT_URL_STS: `http://127.0.0.1:${port}` });
        await assert.rejects(provider.encrypt(plaintext, inCall()), (error: Error & { code: string }) => {
          assert.ok(["unreachable", "timeout"].includes(error.code), inspect(error));
          if (error.code === "unreachable") assert.match(error.message, /for want of credentials: their source /);
          return true;
        });
      } finally {
        broken.close();
      }
    });

    it("are refused by AWS STS: says so, without the token", async () => {
      await writeFile(tokenFile, "bad web identity");
      const { provider } = await start(variables);
      await assert.rejects(provider.encrypt(plaintext, inCall()), (error: Error & { code: string; remedy: string }) => {
        assert.equal(error.code, "permission-denied", inspect(error));
        assert.match(error.message, /AWS STS does not accept the web identity token/);
        assert.match(error.remedy, /AWS_WEB_IDENTITY_TOKEN_FILE/);
        assert.ok(!inspect(error, { depth: 12, showHidden: true }).includes("bad web identity"));
        return true;
      });
    });
  });

  it("from a program that takes too long: end the call in time, though the SDK would wait for it", async () => {
    const directory = await mkdtemp(join(tmpdir(), "kms-etcd-aws-"));
    const file = join(directory, "config");
    await writeFile(file, "[default]\ncredential_process = sleep 4\n");
    const { provider } = await start({ AWS_CONFIG_FILE: file });
    const started = performance.now();
    await assert.rejects(provider.encrypt(plaintext, inCall("v2", 500)), { code: "timeout" });
    assert.ok(performance.now() - started < apiServerLimitMs);
    await rm(directory, { recursive: true });
  });

  it("that are nowhere to be found: names the way out", async () => {
    const { provider } = await start({});
    await assert.rejects(provider.encrypt(plaintext, inCall()), {
      code: "permission-denied",
      remedy: "give the plugin's pod or instance a role: see the AWS SDK's default credential provider chain",
    });
    assert.equal(kms.requests.length, 0);
  });
});
