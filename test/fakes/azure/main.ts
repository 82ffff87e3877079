/**
 * The fake Azure as a process of its own, for measuring a plugin that is one too:
 *   node -r ts-node/register/transpile-only test/fakes/azure/main.ts DIRECTORY [MILLISECONDS]
 * It writes azure.json and its authority's certificate into DIRECTORY, prints one line of JSON with the environment and the
 * flags of a plugin, answers MILLISECONDS late, and ends when its input does. Repeated requests get the same answer again,
 * so that the plugin is measured and not RSA.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startFakeAzure } from "./azure-cloud";

async function main(directory: string, delayMs: number): Promise<void> {
  const azure = await startFakeAzure();
  const vault = azure.addVault("myvault");
  vault.cacheAnswers = true;
  const key = vault.keys.add({ name: "mykey" });
  const identity = azure.metadata.assign({ tenantId: vault.tenantId, systemAssigned: true });
  vault.grant(identity.objectId, "encrypt", "decrypt");
  if (delayMs > 0) {
    for (const place of ["encrypt", "decrypt"] as const) {
      azure.faults.order(place, { kind: "slow", ms: delayMs }, Number.POSITIVE_INFINITY);
    }
  }
  const azureJson = join(directory, "azure.json");
  await writeFile(azureJson, JSON.stringify({ useManagedIdentityExtension: true }), { mode: 0o600 });
  const environment = await azure.processEnvironment(directory);
  const flags = [
    "--keyvault-name=myvault",
    "--key-name=mykey",
    `--key-version=${key.version}`,
    `--config-file-path=${azureJson}`,
  ];
  process.stdout.write(`${JSON.stringify({ environment, flags })}\n`);
  process.stdin.resume();
  await once(process.stdin, "end");
  await azure.close();
}

const [directory, delay = "0"] = process.argv.slice(2);
if (directory === undefined || !/^\d+$/.test(delay)) {
  process.stderr.write("error: name a directory, and at most a whole number of milliseconds after it\n");
  process.exitCode = 2;
} else {
  void main(directory, Number(delay));
}
