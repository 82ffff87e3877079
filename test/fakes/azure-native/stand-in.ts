/** For a test: the stand-in's executable, and the environment in which it and a program reach the fake ARM. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import type { FakeArm } from "../arm/fake-arm";

/**
 * Makes the executable in a folder below `directory`, and gives the folder: for `plugins.providers` of a Pulumi.yaml, or for
 * PATH. One file, because every operation of the CLI starts it: it takes a tenth of the time that TypeScript would.
 */
export async function buildAzureNative(directory: string): Promise<string> {
  const folder = join(directory, "azure-native-plugin");
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: [join(__dirname, "main.ts")],
    outfile: join(folder, "main.js"),
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    logLevel: "warning",
  });
  const executable = join(folder, "pulumi-resource-azure-native");
  await writeFile(executable, `#!/bin/sh\nexec "${process.execPath}" "$(dirname "$0")/main.js" "$@"\n`);
  await chmod(executable, 0o755);
  return folder;
}

/** Of the CLI: the plugins inherit it. `directory` gets the certificate of the fake's authority. */
export async function azureNativeEnvironment(
  { azure, credentials, deployer }: FakeArm,
  directory: string,
  application = deployer,
): Promise<Record<string, string>> {
  return { ...(await azure.processEnvironment(directory)), ...credentials(application) };
}
