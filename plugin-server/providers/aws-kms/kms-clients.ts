/** The KMS clients of one process: one for each region, over the same connections, made when a key is first opened. */
import { certificateAuthorities } from "../../certificate-authorities";
import type { AwsPluginConfig } from "../../config/aws";
import type { AwsEnvironment } from "./environment";
import type { KmsClient } from "./kms-client";
import { instanceRegion, knownRegion } from "./region";
import type * as SdkKmsClient from "./sdk-kms-client";
import { sourceArnHeaders } from "./source-arn";
import type * as TransportModule from "./transport";

/** Where a key's client comes from. */
export interface KmsClients {
  /** Loads the SDK and, where no network is needed for it, settles the key's region. */
  prepare(keyId: string): Promise<void>;
  /** The client for `keyId`. A region that only the instance metadata service knows is asked for until it is known. */
  clientFor(keyId: string, signal: AbortSignal): Promise<KmsClient>;
  /** The key's region; undefined until it is known. */
  regionOf(keyId: string): string | undefined;
  /** Closes all connections. */
  close(): Promise<void>;
}

/** An attempt may take this part of a call's time, so that one lost packet leaves time for another attempt. */
const attemptShare = 0.4;

/** Part of a call's time within which new attempts may start; the rest is for the last one's answer. */
const retryShare = 0.85;

export function createKmsClients(
  config: Pick<AwsPluginConfig, "region" | "kmsEndpoint" | "sourceArn" | "retryBudget"> & {
    readonly operation: Pick<AwsPluginConfig["operation"], "callTimeoutMs">;
  },
  environment: AwsEnvironment,
  variables: Readonly<Record<string, string | undefined>>,
): KmsClients {
  // Refused at once: with a wrong --source-arn no call could ever succeed.
  if (config.sourceArn !== undefined) sourceArnHeaders(config.sourceArn);
  const { callTimeoutMs } = config.operation;
  const regions = new Map<string, string>();
  const clients = new Map<string, KmsClient>();
  let transport: TransportModule.Transport | undefined;

  async function settleRegion(keyId: string): Promise<string | undefined> {
    const { profileRegion } = loadSdk();
    const region = await knownRegion({ flag: config.region, environment, keyId, profile: profileRegion });
    if (region !== undefined) regions.set(keyId, region);
    return region;
  }

  function clientIn(region: string): KmsClient {
    const present = clients.get(region);
    if (present !== undefined) return present;
    transport ??= loadTransport().createTransport({
      attemptTimeoutMs: callTimeoutMs * attemptShare,
      environment,
      authorities: certificateAuthorities(variables),
    });
    const client = loadSdk().createSdkKmsClient({
      region,
      endpoint: config.kmsEndpoint,
      sourceArn: config.sourceArn,
      retryBudget: config.retryBudget,
      timeBudgetMs: callTimeoutMs * retryShare,
      transport,
    });
    clients.set(region, client);
    return client;
  }

  return {
    async prepare(keyId) {
      const region = await settleRegion(keyId);
      if (region !== undefined) clientIn(region);
    },
    async clientFor(keyId, signal) {
      const region = (await settleRegion(keyId)) ?? (await instanceRegion(environment, signal));
      regions.set(keyId, region);
      return clientIn(region);
    },
    regionOf: (keyId) => regions.get(keyId),
    async close() {
      const closing = [...clients.values()];
      clients.clear();
      transport = undefined;
      await Promise.all(closing.map((client) => client.close()));
    },
  };
}

// Required when needed: with another key provider in use none of it may be loaded (plugin start-up is 300 ms in all).
// Not import(), which in CommonJS goes through Node's loader of ES modules and finds no TypeScript.
/* eslint-disable @typescript-eslint/no-require-imports */
function loadSdk(): typeof SdkKmsClient {
  return require("./sdk-kms-client") as typeof SdkKmsClient;
}

function loadTransport(): typeof TransportModule {
  return require("./transport") as typeof TransportModule;
}
