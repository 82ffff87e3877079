/** For a test: the folder with the stand-in's executable, and the environment in which it and a program reach the fake ARM. */
import type { FakeArm } from "../arm/fake-arm";

/** For `plugins.providers` of a Pulumi.yaml: `{ name: "azure-native", path: azureNativeFolder }`. */
export const azureNativeFolder = __dirname;

/** Of the CLI: the plugins inherit it. `directory` gets the certificate of the fake's authority. */
export async function azureNativeEnvironment(
  { azure, credentials, deployer }: FakeArm,
  directory: string,
  application = deployer,
): Promise<Record<string, string>> {
  return { ...(await azure.processEnvironment(directory)), ...credentials(application) };
}
