/** The flags that every key provider has beside its own: our additions to what the upstream plugins know. */
import type { FlagSpecs, Flags } from "./flags";
import type { LogConfig, LogLevel, OperationConfig } from "./operation-config";

export const operationFlags = {
  "livez-path": {
    kind: "value",
    placeholder: "PATH",
    help: "HTTP path that says whether this process works",
    default: "/livez",
  },
  "log-format": { kind: "value", placeholder: "text|json", help: "form of log lines" },
  "call-timeout": {
    kind: "value",
    placeholder: "TIME",
    help: "limit of one KMS call; below the API server's 3s",
    default: "2.5s",
  },
  "drain-timeout": { kind: "value", placeholder: "TIME", help: "limit for calls under way at SIGTERM", default: "5s" },
  "probe-interval": { kind: "value", placeholder: "TIME", help: "how often a usable key is probed", default: "30s" },
  version: { kind: "switch", help: "print the version and exit" },
  help: { kind: "switch", help: "print this and exit" },
  h: { kind: "switch", help: "the same" },
} satisfies FlagSpecs;

/** Where kubelets ask for the plugin's health, as Azure/kubernetes-kms has it; a plugin with a local key has the same. */
export const healthzFlags = {
  "healthz-path": {
    kind: "value",
    placeholder: "PATH",
    help: "HTTP path that says whether the key works",
    default: "/healthz",
  },
  "healthz-timeout": {
    kind: "value",
    placeholder: "TIME",
    help: "longest that a health request waits for a probe",
    default: "20s",
  },
} satisfies FlagSpecs;

/** klog's verbosity as Azure/kubernetes-kms reads it: 2 info, 4 debug, 6 trace. */
export const verbosityFlag = {
  v: { kind: "value", placeholder: "N", help: "verbosity: 0 warnings, 2 info, 4 debug, 6 trace", default: "0" },
} satisfies FlagSpecs;

export function verbosityLevel(flags: Flags): LogLevel {
  const verbosity = flags.whole("v", 0, 255);
  return verbosity >= 6 ? "trace" : verbosity >= 4 ? "debug" : verbosity >= 2 ? "info" : "warn";
}

export function logFormat(flags: Flags, fallback: LogConfig["format"]): LogConfig["format"] {
  const value = flags.text("log-format") ?? fallback;
  if (value === "text" || value === "json") return value;
  flags.problems.push(`--log-format is "${value}": give text or json`);
  return fallback;
}

export function httpPath(flags: Flags, name: string, fallback: string): string {
  const path = flags.text(name) ?? fallback;
  if (!/^\/[\x21-\x7e]*$/.test(path) || /[?#]/.test(path))
    flags.problems.push(`--${name} is "${path}": give a path that begins with "/"`);
  return path;
}

/** What `operationFlags` say; the rest of OperationConfig comes from flags whose names differ between the providers. */
export function operationTimes(
  flags: Flags,
): Pick<OperationConfig, "callTimeoutMs" | "drainTimeoutMs" | "probeIntervalMs" | "livezPath"> {
  return {
    livezPath: httpPath(flags, "livez-path", "/livez"),
    callTimeoutMs: callTimeout(flags),
    drainTimeoutMs: flags.milliseconds("drain-timeout", 5_000),
    probeIntervalMs: probeInterval(flags),
  };
}

/** When an API server gives up (EncryptionConfiguration, `timeout`): an answer after that helps nobody. */
const apiServerLimit = 3_000;

function callTimeout(flags: Flags): number {
  const limit = flags.milliseconds("call-timeout", 2_500);
  if (limit >= apiServerLimit) flags.problems.push(`--call-timeout is ${limit} ms: give less than the API server's 3s`);
  return limit;
}

/** Each probe is a request that the key's service counts, and may charge for. */
const shortestProbeInterval = 1_000;

function probeInterval(flags: Flags): number {
  const interval = flags.milliseconds("probe-interval", 30_000);
  if (interval < shortestProbeInterval) flags.problems.push(`--probe-interval is ${interval} ms: give 1s or more`);
  return interval;
}

/** One HTTP server can't have the same path twice. */
export function refuseSamePaths(flags: Flags, operation: OperationConfig): void {
  // /metrics always counts: it moves to the health server when its own default port is taken.
  const paths = [operation.healthzPath, operation.livezPath, "/metrics"];
  if (operation.health && new Set(paths).size < paths.length) {
    flags.problems.push(`--healthz-path, --livez-path and /metrics must differ: they are ${paths.join(", ")}`);
  }
}
