/** The Azure SDKs, loaded when a resource first needs them: the provider answers Pulumi's first question without them. */
import type { AzureClients } from "./azure-clients";
import type { Environment } from "./azure-cloud";
import type * as sdkClientsModule from "./sdk-clients";

/** Gives the same clients every time. */
export function lazyAzureClients(environment: Environment): () => AzureClients {
  let clients: AzureClients | undefined;
  return () => {
    clients ??= load(environment);
    return clients;
  };
}

function load(environment: Environment): AzureClients {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import at the top would be paid for by every start
  const { createSdkClients } = require("./sdk-clients") as typeof sdkClientsModule;
  return createSdkClients(environment);
}
