/** The flags of a key in a local file: for development and for this project's own tests. */
import { resolve } from "node:path";
import type { FlagSpecs, Flags } from "./flags";
import { listenAddress, socketPath } from "./listen-address";
import type { OperationConfig } from "./operation-config";
import {
  healthzFlags,
  httpPath,
  logFormat,
  operationFlags,
  operationTimes,
  refuseSamePaths,
  verbosityFlag,
  verbosityLevel,
} from "./operation-flags";

export interface LocalPluginConfig {
  readonly kind: "local";
  readonly operation: OperationConfig;
  /** Absolute path of the key file, in the form of core/local-key-file.ts. */
  readonly keyFile: string;
}

/** A development machine has no kubelet that asks from outside. */
const loopback = "127.0.0.1";

export const localFlags = {
  "key-file": { kind: "value", placeholder: "FILE", help: "local key, mode 0600 (required)" },
  "listen-addr": { kind: "value", placeholder: "unix:///PATH", help: "socket to serve (required)" },
  "healthz-port": {
    kind: "value",
    placeholder: "PORT",
    help: "health and metrics: a port or host:port, on 127.0.0.1 unless said",
    default: "none",
  },
  ...healthzFlags,
  "metrics-addr": { kind: "value", placeholder: "PORT", help: "metrics on a port of their own" },
  ...verbosityFlag,
  ...operationFlags,
} satisfies FlagSpecs;

/** Notes every problem in `flags`; the result counts only when there is none. */
export function readLocalConfig(flags: Flags): LocalPluginConfig {
  const keyFile = flags.text("key-file") ?? "";
  if (keyFile === "") flags.problems.push("--key-file is missing");
  const listen = flags.text("listen-addr");
  if (listen === undefined) flags.problems.push("--listen-addr is missing");
  const socket = listen === undefined ? undefined : socketPath(flags, "listen-addr", listen, "unix-url");
  const operation: OperationConfig = {
    ...operationTimes(flags),
    sockets: socket === undefined ? [] : [socket],
    health: listenAddress(flags, "healthz-port", "none", loopback),
    healthzPath: httpPath(flags, "healthz-path", "/healthz"),
    healthzTimeoutMs: flags.milliseconds("healthz-timeout", 20_000),
    metrics: flags.has("metrics-addr")
      ? (listenAddress(flags, "metrics-addr", "none", loopback) ?? "none")
      : "beside-health",
    log: { format: logFormat(flags, "text"), level: verbosityLevel(flags) },
  };
  refuseSamePaths(flags, operation);
  return { kind: "local", operation, keyFile: resolve(keyFile) };
}
