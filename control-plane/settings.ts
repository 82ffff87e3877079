/** What a control plane was started with. Written once, at its first start; every later start uses the same. */
import { KmsEtcdError } from "../core/errors";
import type { PluginSettingsByKind } from "../core/plugin-settings";
import { readFileIfAny, writeFileAtomically } from "./atomic-file";
import { apiServerHostNames, type StateLayout } from "./state-layout";

/** What a caller may choose. What is left out has the default, or what the state directory already has. */
export interface ControlPlaneChoices {
  /** Number of API servers, each on a host of its own. @default 3 */
  readonly hosts?: number;
  /** Whether API servers load a changed encryption configuration by themselves. @default true */
  readonly automaticReload?: boolean;
  /** Flags of kube-apiserver after ours, for example `--feature-gates=KMSv1=true`. @default none */
  readonly apiServerArguments?: readonly string[];
  /** kube-apiserver to run instead of the newest one. @default found by `tools/` */
  readonly apiServerBinary?: string;
  /** Flags of etcd after ours, for example `--quota-backend-bytes=4294967296`. @default none */
  readonly etcdArguments?: readonly string[];
  /** etcd to run. @default found by `tools/` */
  readonly etcdBinary?: string;
  /** API servers' --request-timeout in seconds. @default 15 */
  readonly requestTimeoutSeconds?: number;
  /** Time between the starts of two API servers: their once-a-minute looks at the configuration then differ by it. @default 0 */
  readonly staggerSeconds?: number;
  /** etcd does not wait for the disk. For tests: a power cut loses data. @default false */
  readonly unsafeNoFsync?: boolean;
  /** How KMS plugins find and use their cloud from this machine, for example `--kms-endpoint`. @default they find it themselves */
  readonly pluginSettings?: PluginSettingsByKind;
  /** Ports of the API servers, in the order of the hosts. @default free ones */
  readonly apiServerPorts?: readonly number[];
  /** etcd's client port. @default a free one */
  readonly etcdPort?: number;
}

/** Everything that was chosen, by the caller or by default. */
export interface ControlPlaneSettings extends Required<ControlPlaneChoices> {
  readonly formatVersion: 1;
  readonly etcdPeerPort: number;
  readonly kubernetesVersion: string;
  /** Whether each API server has a UTS namespace, and so a host name and identity Lease of its own. Needs root. */
  readonly utsNamespaces: boolean;
  /** Holds one directory a host. Short, because the path of a unix socket has at most 107 bytes. */
  readonly socketRoot: string;
}

/** The settings of a control plane that was started before, or undefined. */
export async function readSettings(layout: StateLayout): Promise<ControlPlaneSettings | undefined> {
  const text = await readFileIfAny(layout.settingsFile);
  if (text === undefined) return undefined;
  const settings = JSON.parse(text) as ControlPlaneSettings;
  const formatVersion: number = settings.formatVersion;
  if (formatVersion !== 1) {
    throw new KmsEtcdError("unsupported", `${layout.settingsFile} has format ${formatVersion}, this release knows 1`, {
      remedy: "use the release that made it, or clean the state directory",
    });
  }
  // What was started before there was this choice has not got it.
  return { ...settings, etcdArguments: (settings as Partial<ControlPlaneSettings>).etcdArguments ?? [] };
}

export async function writeSettings(layout: StateLayout, settings: ControlPlaneSettings): Promise<void> {
  await writeFileAtomically(layout.settingsFile, `${JSON.stringify(settings, undefined, 2)}\n`);
}

/** Throws `conflict` when a caller now asks for something else than the control plane was started with. */
export function refuseOtherChoices(
  layout: StateLayout,
  choices: ControlPlaneChoices,
  settings: ControlPlaneSettings,
): void {
  const chosen: ControlPlaneChoices = withoutUnknown(choices);
  for (const [name, value] of Object.entries(chosen) as [keyof ControlPlaneChoices, unknown][]) {
    if (value === undefined || JSON.stringify(value) === JSON.stringify(settings[name])) continue;
    throw new KmsEtcdError(
      "conflict",
      `the control plane in ${layout.directory} has ${name} ${shown(settings[name])}, not ${shown(value)}`,
      { remedy: "leave the option out, or clean the state directory first" },
    );
  }
}

/** Throws `invalid-input` for choices that can't be carried out. */
export function checkChoices(choices: ControlPlaneChoices): void {
  const { hosts = 3, apiServerPorts, staggerSeconds = 0, requestTimeoutSeconds = 15 } = choices;
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > 9) throw invalid("hosts", hosts, "a whole number from 1 to 9");
  if (!(staggerSeconds >= 0 && staggerSeconds <= 60)) throw invalid("staggerSeconds", staggerSeconds, "0 to 60");
  if (!Number.isInteger(requestTimeoutSeconds) || requestTimeoutSeconds < 1) {
    throw invalid("requestTimeoutSeconds", requestTimeoutSeconds, "a whole number of seconds, at least 1");
  }
  if (apiServerPorts && apiServerPorts.length !== hosts) {
    throw invalid(
      "apiServerPorts",
      apiServerPorts.join(","),
      `one port for each of ${apiServerHostNames(hosts).join(", ")}`,
    );
  }
  for (const port of [...(apiServerPorts ?? []), ...(choices.etcdPort === undefined ? [] : [choices.etcdPort])]) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid("port", port, "1 to 65535");
  }
}

const choiceNames: readonly (keyof ControlPlaneChoices)[] = [
  "hosts",
  "automaticReload",
  "apiServerArguments",
  "apiServerBinary",
  "etcdBinary",
  "etcdArguments",
  "requestTimeoutSeconds",
  "staggerSeconds",
  "unsafeNoFsync",
  "pluginSettings",
  "apiServerPorts",
  "etcdPort",
];

function withoutUnknown(choices: ControlPlaneChoices): ControlPlaneChoices {
  return Object.fromEntries(choiceNames.map((name) => [name, choices[name]]));
}

function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

function invalid(name: string, value: unknown, expected: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `${name} is ${String(value)}`, { remedy: `give ${expected}` });
}
