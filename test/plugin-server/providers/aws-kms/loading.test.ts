import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { defaultAccessKey, type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import { environmentCredentials } from "./rig";

const run = promisify(execFile);

/** Runs in a process of its own, because here everything is loaded already. */
const program = `
  const { createAwsKmsProviders } = require("./plugin-server/providers/aws-kms");
  const loaded = () => Object.keys(require.cache).map((file) => file.split("node_modules/")[1]).filter(Boolean);
  const operation = { callTimeoutMs: 2500 };
  const [kmsEndpoint, keyId] = process.argv.slice(1);
  const keys = [{ keyId, encryptionContext: {} }];
  const config = { kind: "aws", operation, keys, kmsEndpoint, retryBudget: { kind: "sdk-default" } };
  (async () => {
    const [provider] = createAwsKmsProviders(config);
    const before = loaded();
    await provider.open(AbortSignal.timeout(2500));
    const opened = loaded();
    await provider.probe(AbortSignal.timeout(2500));
    const used = loaded();
    await provider.close();
    process.stdout.write(JSON.stringify({ before, opened, used }));
  })();
`;

describe("loading the AWS KMS provider", () => {
  let kms: KmsFake;
  before(async () => {
    kms = await startKmsFake();
  });
  after(() => kms.close());

  it("leaves the SDK alone until a key is opened and undici until it is used, never loads the whole of undici, prints nothing, and lets the process end", async function () {
    this.timeout(20_000);
    const args = ["-r", "ts-node/register/transpile-only", "-e", program, kms.url, kms.keys.add().arn];
    const { PATH = "" } = process.env;
    const { stdout, stderr } = await run(process.execPath, args, {
      cwd: resolve(__dirname, "../../../.."),
      env: { PATH, ...environmentCredentials },
    });
    assert.equal(stderr, "", "nothing that is not a log line");
    const { before, opened, used } = JSON.parse(stdout) as Record<"before" | "opened" | "used", readonly string[]>;
    const isSdk = (file: string) => /^(@aws-sdk|@smithy|undici)\//.test(file);
    assert.deepEqual(before.filter(isSdk), []);
    assert.ok(opened.includes("@aws-sdk/client-kms/dist-cjs/index.js"));
    assert.ok(!opened.some((file) => file.startsWith("undici/")));
    assert.ok(used.includes("undici/lib/dispatcher/agent.js"));
    assert.ok(!used.includes("undici/index.js"));
    assert.equal(kms.requests[0]?.headers["authorization"]?.includes(defaultAccessKey.accessKeyId), true);
  });
});
