/** A provider for a key in the KMS fake, as the plugin would make it from its flags and environment. */
// Loaded before mocha looks at the globals: the SDK leaves one behind (`awslambda`).
import "@aws-sdk/client-kms";
import type { AwsPluginConfig } from "../../../../plugin-server/config/aws";
import type { OperationConfig } from "../../../../plugin-server/config/operation-config";
import type { CallContext, KeyProvider } from "../../../../plugin-server/key-provider";
import { createAwsKmsProviders } from "../../../../plugin-server/providers/aws-kms";
import { setAwsEnvironment } from "../../../fakes/aws/aws-environment";
import { defaultAccessKey, type KmsFake, startKmsFake } from "../../../fakes/aws/kms-fake";
import type { FakeKey } from "../../../fakes/aws/kms-keys";

/** The plugin's own default for a call. */
export const callTimeoutMs = 2_500;
/** After this an API server gives up (EncryptionConfiguration, `timeout`). */
export const apiServerLimitMs = 3_000;

export interface AwsRig {
  readonly kms: KmsFake;
  readonly key: FakeKey;
  readonly provider: KeyProvider;
  /** For a rig whose KMS fake goes on. */
  restoreEnvironment(): void;
  close(): Promise<void>;
}

export interface RigOptions {
  readonly config?: Partial<Omit<AwsPluginConfig, "operation">>;
  readonly callTimeoutMs?: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly kms?: KmsFake;
}

export const environmentCredentials: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: defaultAccessKey.accessKeyId,
  AWS_SECRET_ACCESS_KEY: defaultAccessKey.secretAccessKey,
};

export async function startRig(options: RigOptions = {}): Promise<AwsRig> {
  const restore = setAwsEnvironment(options.environment ?? environmentCredentials);
  const kms = options.kms ?? (await startKmsFake());
  const key = kms.keys.add();
  const [provider] = awsProviders(
    kms,
    { keys: [{ keyId: key.arn, encryptionContext: {} }], ...options.config },
    options,
  );
  if (provider === undefined) throw new Error("no provider was made");
  try {
    await provider.open(AbortSignal.timeout(callTimeoutMs));
  } catch (thrown) {
    restore();
    throw thrown;
  }
  return {
    kms,
    key,
    provider,
    restoreEnvironment: restore,
    async close() {
      await provider.close();
      await kms.close();
      restore();
    },
  };
}

export function awsProviders(
  kms: KmsFake,
  config: Partial<Omit<AwsPluginConfig, "operation">> & Pick<AwsPluginConfig, "keys">,
  options: Pick<RigOptions, "callTimeoutMs"> = {},
): readonly KeyProvider[] {
  const operation: OperationConfig = {
    sockets: [],
    health: undefined,
    healthzPath: "/healthz",
    livezPath: "/livez",
    healthzTimeoutMs: 5_000,
    metrics: "none",
    log: { format: "json", level: "info" },
    callTimeoutMs: options.callTimeoutMs ?? callTimeoutMs,
    drainTimeoutMs: 1_000,
    probeIntervalMs: 30_000,
  };
  return createAwsKmsProviders({
    kind: "aws",
    operation,
    region: undefined,
    kmsEndpoint: kms.url,
    retryBudget: { kind: "sdk-default" },
    sourceArn: undefined,
    ...config,
  });
}

/** A call as the plugin server makes it. */
export function inCall(kms: "v1" | "v2" = "v2", limitMs = callTimeoutMs): CallContext {
  return { kms, uid: "", signal: AbortSignal.timeout(limitMs) };
}

/** What an API server sends for `ciphertext`. */
export function stored(ciphertext: Uint8Array, keyId = ""): Parameters<KeyProvider["decrypt"]>[0] {
  return { ciphertext, keyId, annotations: {} };
}
