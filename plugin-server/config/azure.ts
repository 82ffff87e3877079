/** The flags of Azure/kubernetes-kms v0.11: same names, forms and defaults, so that its manifests work unchanged. */
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

export interface AzurePluginConfig {
  readonly kind: "azure";
  readonly operation: OperationConfig;
  /** As given, without blanks and double quotes around it (the peer trims them too). */
  readonly vaultName: string;
  readonly keyName: string;
  readonly keyVersion: string;
  readonly managedHsm: boolean;
  /** azure.json: cloud, tenant and the way of authenticating. */
  readonly credentialsFile: string;
  /** Set by `--proxy-mode`: Key Vault and Entra are asked through `http://<address>:<port>/`. */
  readonly proxy: { readonly address: string; readonly port: number } | undefined;
}

const defaults = {
  socket: "unix:///opt/azurekms.socket",
  credentials: "/etc/kubernetes/azure.json",
  health: "8787",
  metrics: "8095",
  proxyPort: 7788,
};

export const azureFlags = {
  "keyvault-name": { kind: "value", placeholder: "NAME", help: "Key Vault or managed HSM (required)" },
  "key-name": { kind: "value", placeholder: "NAME", help: "key (required)" },
  "key-version": { kind: "value", placeholder: "VERSION", help: "version of the key (required)" },
  "managed-hsm": { kind: "switch", help: "the name is that of a managed HSM" },
  "listen-addr": { kind: "value", placeholder: "unix:///PATH", help: "socket to serve", default: defaults.socket },
  "config-file-path": {
    kind: "value",
    placeholder: "FILE",
    help: "azure.json with the way of authenticating",
    default: defaults.credentials,
  },
  configFilePath: { kind: "value", placeholder: "FILE", help: "ignored, as upstream ignores it" },
  "healthz-port": {
    kind: "value",
    placeholder: "PORT",
    help: 'health: a port, host:port, or "none"',
    default: defaults.health,
  },
  ...healthzFlags,
  "metrics-backend": { kind: "value", placeholder: "prometheus", help: "the only one there is", default: "prometheus" },
  "metrics-addr": {
    kind: "value",
    placeholder: "PORT",
    help: 'metrics: a port, host:port, or "none"',
    default: defaults.metrics,
  },
  "proxy-mode": { kind: "switch", help: "reach Azure through --proxy-address" },
  "proxy-address": { kind: "value", placeholder: "HOST", help: "host of the proxy" },
  "proxy-port": { kind: "value", placeholder: "PORT", help: "port of the proxy", default: String(defaults.proxyPort) },
  "log-format-json": { kind: "switch", help: "the same as --log-format=json" },
  ...verbosityFlag,
  ...operationFlags,
} satisfies FlagSpecs;

/** Notes every problem in `flags`; the result counts only when there is none. */
export function readAzureConfig(flags: Flags): AzurePluginConfig {
  const vaultName = required(flags, "keyvault-name");
  if (vaultName !== "" && !/^[-A-Za-z0-9]{3,24}$/.test(vaultName)) {
    flags.problems.push(`--keyvault-name is "${vaultName}": a vault's name has 3 to 24 letters, digits and hyphens`);
  }
  const backend = flags.text("metrics-backend") ?? "prometheus";
  if (backend.toLowerCase() !== "prometheus") flags.problems.push(`--metrics-backend is "${backend}": give prometheus`);
  if (flags.has("configFilePath"))
    flags.warnings.push("--configFilePath is ignored, as upstream ignores it: use --config-file-path");
  return {
    kind: "azure",
    operation: readOperation(flags),
    vaultName,
    keyName: required(flags, "key-name"),
    keyVersion: required(flags, "key-version"),
    managedHsm: flags.flag("managed-hsm"),
    credentialsFile: flags.text("config-file-path") ?? defaults.credentials,
    proxy: readProxy(flags),
  };
}

function readOperation(flags: Flags): OperationConfig {
  const socket = socketPath(flags, "listen-addr", flags.text("listen-addr") ?? defaults.socket, "unix-url");
  const json = flags.has("log-format-json") ? flags.flag("log-format-json") : undefined;
  const format = logFormat(flags, json === true ? "json" : "text");
  if (json !== undefined && json !== (format === "json"))
    flags.problems.push("--log-format and --log-format-json contradict each other");
  const operation: OperationConfig = {
    ...operationTimes(flags),
    sockets: socket === undefined ? [] : [socket],
    health: listenAddress(flags, "healthz-port", defaults.health),
    healthzPath: httpPath(flags, "healthz-path", "/healthz"),
    healthzTimeoutMs: flags.milliseconds("healthz-timeout", 20_000),
    metrics: listenAddress(flags, "metrics-addr", defaults.metrics) ?? "none",
    log: { format, level: verbosityLevel(flags) },
  };
  refuseSamePaths(flags, operation);
  return operation;
}

/** Names arrive with quotes when a manifest was made by a template (upstream issue 85). */
function required(flags: Flags, name: string): string {
  const value = (flags.text(name) ?? "").replace(/^[\s"]+|[\s"]+$/g, "");
  if (value === "") flags.problems.push(`--${name} is missing`);
  return value;
}

function readProxy(flags: Flags): AzurePluginConfig["proxy"] {
  const address = flags.text("proxy-address") ?? "";
  const port = flags.whole("proxy-port", defaults.proxyPort, 65_535);
  if (!flags.flag("proxy-mode")) {
    // An explicit --proxy-mode=false says that the address is meant to rest.
    if (address !== "" && !flags.has("proxy-mode"))
      flags.problems.push("--proxy-address has no effect without --proxy-mode");
    return undefined;
  }
  if (address === "") flags.problems.push("--proxy-mode needs --proxy-address");
  return { address, port };
}
