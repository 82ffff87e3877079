import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { type AzureHost, startAzureHost } from "./azure-host";

const run = promisify(execFile);

/** Runs in a process of its own, because here everything is loaded already. The inspector sees modules of both kinds. */
const program = `
  const { Session } = require("node:inspector");
  const packages = () => {
    const urls = [];
    const session = new Session();
    session.connect();
    session.on("Debugger.scriptParsed", ({ params }) => urls.push(params.url));
    session.post("Debugger.enable");
    session.disconnect();
    return [...new Set(urls.map((url) => url.split("node_modules/")[1]).filter(Boolean))];
  };
  const { createAzureKeyVaultProvider } = require("./plugin-server/providers/azure-key-vault");
  (async () => {
    const provider = createAzureKeyVaultProvider(JSON.parse(process.argv[1]));
    await provider.open(AbortSignal.timeout(2500));
    const opened = packages();
    await provider.probe(AbortSignal.timeout(20000));
    const probed = packages();
    await provider.close();
    process.stdout.write(JSON.stringify({ opened, probed }));
  })();
`;

describe("loading the Azure Key Vault provider", function () {
  this.timeout(60_000);
  let host: AzureHost;
  before(async () => {
    host = await startAzureHost();
  });
  after(() => host.close());

  it("leaves the SDKs and undici alone until the first call, prints nothing, and lets the process end", async () => {
    const given = host.config();
    // Unbundled, the SDKs are a thousand files: on a busy machine they take longer to load than a call may take.
    const config = JSON.stringify({ ...given, operation: { ...given.operation, callTimeoutMs: 20_000 } });
    const { PATH = "" } = process.env;
    const { stdout, stderr } = await run(
      process.execPath,
      ["-r", "ts-node/register/transpile-only", "-e", program, config],
      {
        cwd: resolve(__dirname, "../../../.."),
        env: { PATH, ...(await host.azure.processEnvironment(host.directory)) },
      },
    );
    assert.equal(stderr, "", "nothing that is not a log line");
    const { opened, probed } = JSON.parse(stdout) as Record<"opened" | "probed", readonly string[]>;
    const heavy = /^(@azure|@azure-rest|undici|node-forge|yaml)\//;
    assert.deepEqual(
      opened.filter((file) => heavy.test(file)),
      [],
    );
    for (const name of ["@azure/identity/", "@azure/keyvault-keys/", "undici/"]) {
      assert.ok(
        probed.some((file) => file.startsWith(name)),
        name,
      );
    }
  });
});
