/** The flags of aws-encryption-provider: same names, forms and defaults, so that its manifests work unchanged. */
import { type FlagSpecs, type Flags, splitList } from "./flags";
import { listenAddress, socketPath } from "./listen-address";
import type { OperationConfig } from "./operation-config";
import { httpPath, logFormat, operationFlags, operationTimes, refuseSamePaths } from "./operation-flags";

export interface AwsPluginKey {
  /** `--key` verbatim: what Status reports as key_id and what AWS KMS gets as KeyId. */
  readonly keyId: string;
  /** Bound to every ciphertext; empty when the key has none. */
  readonly encryptionContext: Readonly<Record<string, string>>;
}

/** How many retries the client may spend before it has to earn more by successes. */
export type RetryBudget =
  /** The SDK's own: 500 tokens, 5 for a retry, 10 for one after a timeout. */
  | { readonly kind: "sdk-default" }
  /** `--retry-token-capacity`: that many tokens, at the SDK's costs. */
  | { readonly kind: "tokens"; readonly capacity: number }
  /** `--qps-limit` + `--burst-limit`, deprecated upstream: that many tokens, 1 for a retry of any kind. */
  | { readonly kind: "unit-cost-tokens"; readonly capacity: number };

export interface AwsPluginConfig {
  readonly kind: "aws";
  readonly operation: OperationConfig;
  /** Key i is served on `operation.sockets[i]`. Never empty. */
  readonly keys: readonly AwsPluginKey[];
  /** Undefined: the SDK's own search, and the instance metadata service when that finds none. */
  readonly region: string | undefined;
  /** Overrides the address of AWS KMS for all keys. */
  readonly kmsEndpoint: string | undefined;
  readonly retryBudget: RetryBudget;
  /** Sent as x-amz-source-arn, with the account in it as x-amz-source-account: the guard against a confused deputy. */
  readonly sourceArn: string | undefined;
}

const defaults = { socket: "/var/run/kmsplugin/socket.sock", health: ":8080" };

export const awsFlags = {
  key: { kind: "value", placeholder: "ARN[,ARN]", help: "key or keys, one a socket (required)" },
  listen: { kind: "value", placeholder: "PATH[,PATH]", help: "socket or sockets, one a key", default: defaults.socket },
  "encryption-context": {
    kind: "value",
    placeholder: "A=B,C=D",
    help: "bound to all ciphertext; repeat it for each key",
  },
  region: { kind: "value", placeholder: "REGION", help: "AWS region; without it the SDK and the instance are asked" },
  "kms-endpoint": { kind: "value", placeholder: "URL", help: "address of AWS KMS" },
  "source-arn": { kind: "value", placeholder: "ARN", help: "sent as x-amz-source-arn and x-amz-source-account" },
  "health-port": {
    kind: "value",
    placeholder: "[HOST]:PORT",
    help: 'health and metrics, or "none"',
    default: defaults.health,
  },
  "healthz-path": {
    kind: "value",
    placeholder: "PATH",
    help: "HTTP path that says whether the keys work",
    default: "/healthz",
  },
  "health-kms-version": {
    kind: "value",
    placeholder: "v1|v2",
    help: "accepted: both are always covered",
    default: "v1",
  },
  "metrics-addr": { kind: "value", placeholder: "[HOST]:PORT", help: 'metrics on a port of their own, or "none"' },
  "retry-token-capacity": {
    kind: "value",
    placeholder: "N",
    help: "tokens that retries may spend",
    default: "0, the SDK's",
  },
  "qps-limit": {
    kind: "value",
    placeholder: "N",
    help: "deprecated upstream: with --burst-limit, tokens for retries",
    default: "0",
  },
  "burst-limit": { kind: "value", placeholder: "N", help: "deprecated upstream, see --qps-limit", default: "0" },
  debug: { kind: "switch", help: "log every call" },
  ...operationFlags,
} satisfies FlagSpecs;

/** Notes every problem in `flags`; the result counts only when there is none. */
export function readAwsConfig(flags: Flags): AwsPluginConfig {
  const keyIds = flags.all("key").flatMap(splitList);
  if (!flags.has("key")) flags.problems.push("--key is missing");
  else if (keyIds.length === 0 || keyIds.includes("")) flags.problems.push("--key names an empty key");
  for (const keyId of keyIds) {
    if (/^alias\/|:alias\//.test(keyId))
      flags.warnings.push(
        `--key ${keyId} is an alias: when it moves, the key changes behind an unchanged key_id; give the key's ARN`,
      );
  }
  const contexts = flags.all("encryption-context").map((text) => readContext(flags, text));
  if (contexts.length > keyIds.length) {
    flags.problems.push(
      `--encryption-context stands ${contexts.length} times for ${keyIds.length} of --key: give at most one for each key`,
    );
  }
  const version = flags.text("health-kms-version") ?? "v1";
  if (version !== "v1" && version !== "v2") flags.problems.push(`--health-kms-version is "${version}": give v1 or v2`);
  const sourceArn = nonEmpty(flags, "source-arn");
  if (sourceArn !== undefined && !/^arn:[^:]+:[^:]*:[^:]*:\d{12}:.+$/.test(sourceArn)) {
    flags.problems.push(`--source-arn is "${sourceArn}": give an ARN with an account number in it`);
  }
  const kmsEndpoint = nonEmpty(flags, "kms-endpoint");
  if (kmsEndpoint !== undefined && !/^https?:\/\/[^/]/.test(kmsEndpoint)) {
    flags.problems.push(`--kms-endpoint is "${kmsEndpoint}": give an http or https URL`);
  }
  return {
    kind: "aws",
    operation: readOperation(flags, keyIds.length),
    keys: keyIds.map((keyId, index) => ({ keyId, encryptionContext: contexts[index] ?? {} })),
    region: nonEmpty(flags, "region"),
    kmsEndpoint,
    retryBudget: readRetryBudget(flags),
    sourceArn,
  };
}

function readOperation(flags: Flags, keys: number): OperationConfig {
  const listed = flags.has("listen") ? flags.all("listen").flatMap(splitList) : [defaults.socket];
  const sockets = listed.flatMap((value) => socketPath(flags, "listen", value, "bare") ?? []);
  if (keys > 0 && listed.length !== keys) {
    flags.problems.push(`there are ${keys} of --key and ${listed.length} of --listen: give one socket for each key`);
  }
  if (new Set(sockets).size < sockets.length) flags.problems.push("--listen names a socket twice");
  const operation: OperationConfig = {
    ...operationTimes(flags),
    sockets,
    health: listenAddress(flags, "health-port", defaults.health),
    healthzPath: httpPath(flags, "healthz-path", "/healthz"),
    // Upstream's probe has 5 s and its health requests wait for it.
    healthzTimeoutMs: 5_000,
    metrics: flags.has("metrics-addr") ? (listenAddress(flags, "metrics-addr", "none") ?? "none") : "beside-health",
    log: { format: logFormat(flags, "json"), level: flags.flag("debug") ? "debug" : "info" },
  };
  refuseSamePaths(flags, operation);
  return operation;
}

function readContext(flags: Flags, text: string): Readonly<Record<string, string>> {
  const pairs = splitList(text.trim().replace(/^\[|\]$/g, "")).map((pair) => {
    const equals = pair.indexOf("=");
    if (equals < 1) flags.problems.push(`--encryption-context is "${text}": write name=value,name=value`);
    return [pair.slice(0, equals), pair.slice(equals + 1)] as const;
  });
  return Object.fromEntries(pairs);
}

/** Precedence as upstream: the token capacity wins over the older pair. */
function readRetryBudget(flags: Flags): RetryBudget {
  const capacity = flags.whole("retry-token-capacity", 0, 1_000_000);
  const qps = flags.whole("qps-limit", 0, 1_000_000);
  const burst = flags.whole("burst-limit", 0, 1_000_000);
  if (qps > 0 && burst === 0) flags.problems.push("--qps-limit needs --burst-limit above 0");
  if (qps === 0 && burst > 0) flags.problems.push("--burst-limit has no effect without --qps-limit");
  if (capacity > 0) return { kind: "tokens", capacity };
  return qps > 0 ? { kind: "unit-cost-tokens", capacity: qps + burst } : { kind: "sdk-default" };
}

function nonEmpty(flags: Flags, name: string): string | undefined {
  const value = flags.text(name);
  return value === "" ? undefined : value;
}
