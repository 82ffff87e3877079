/**
 * Keys in AWS KMS: a drop-in for kubernetes-sigs/aws-encryption-provider. The same flags give the same bytes, so a cluster
 * moves over by changing the image; what differs is that each key has a health of its own, that every call ends in time, and
 * that errors say what is wrong.
 */
import type { AwsPluginConfig } from "../../config/aws";
import type { KeyProvider } from "../../key-provider";
import { readAwsEnvironment } from "./environment";
import { createKmsClients } from "./kms-clients";
import { createAwsKmsProvider } from "./provider";

/** One provider for each of `config.keys`, in that order. They share credentials and connections, and nothing else. */
export function createAwsKmsProviders(
  config: AwsPluginConfig,
  variables: Readonly<Record<string, string | undefined>> = process.env,
): readonly KeyProvider[] {
  const clients = createKmsClients(config, readAwsEnvironment(variables), variables);
  const inUse = new Set(config.keys);
  return config.keys.map((key) =>
    createAwsKmsProvider(key, clients, config, async () => {
      if (inUse.delete(key) && inUse.size === 0) await clients.close();
    }),
  );
}
