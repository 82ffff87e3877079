/** Makes a control plane's settings from what a caller chose: finds programs, ports and what this machine allows. */
import { execFile } from "node:child_process";
import { access, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { longestSocketPath } from "../core/static-pod";
import { findTool } from "../tools/find-tool";
import { programVersion } from "../tools/program-version";
import type { Report } from "../tools/report";
import { reservePorts } from "./ports/port-reservations";
import type { ControlPlaneChoices, ControlPlaneSettings } from "./settings";
import type { StateLayout } from "./state-layout";

const run = promisify(execFile);

export interface ToolOptions {
  readonly report: Report;
  readonly signal?: AbortSignal;
}

/** The file name of a plugin's socket gets 64 bytes of the path. */
const longestSocketRoot = longestSocketPath - 64 - "/cp9/".length;

/** Defaults for all that was not chosen. Ports are reserved for the state directory. */
export async function chooseSettings(
  layout: StateLayout,
  choices: ControlPlaneChoices,
  tools: ToolOptions,
): Promise<ControlPlaneSettings> {
  const hosts = choices.hosts ?? 3;
  const etcdBinary = await program(choices.etcdBinary, "etcd", tools);
  const apiServerBinary = await program(choices.apiServerBinary, "kube-apiserver", tools);
  const given = choices.apiServerPorts ?? Array.from({ length: hosts }, () => undefined);
  const ports = await reservePorts(layout.directory, [choices.etcdPort, undefined, ...given]);
  return {
    formatVersion: 1,
    hosts,
    automaticReload: choices.automaticReload ?? true,
    apiServerArguments: choices.apiServerArguments ?? [],
    apiServerBinary,
    etcdBinary,
    etcdArguments: choices.etcdArguments ?? [],
    requestTimeoutSeconds: choices.requestTimeoutSeconds ?? 15,
    staggerSeconds: choices.staggerSeconds ?? 0,
    unsafeNoFsync: choices.unsafeNoFsync ?? false,
    pluginSettings: choices.pluginSettings ?? {},
    etcdPort: ports[0] ?? 0,
    etcdPeerPort: ports[1] ?? 0,
    apiServerPorts: ports.slice(2),
    kubernetesVersion: await programVersion(apiServerBinary, ["--version"]),
    utsNamespaces: await canNameHosts(),
    socketRoot: await chooseSocketRoot(layout),
  };
}

/** The same settings, or others where a program is no longer where it was. */
export async function refreshBinaries(
  settings: ControlPlaneSettings,
  tools: ToolOptions,
): Promise<ControlPlaneSettings> {
  const [etcdThere, apiServerThere] = [await isThere(settings.etcdBinary), await isThere(settings.apiServerBinary)];
  if (etcdThere && apiServerThere) return settings;
  return {
    ...settings,
    etcdBinary: etcdThere ? settings.etcdBinary : await program(undefined, "etcd", tools),
    apiServerBinary: apiServerThere ? settings.apiServerBinary : await program(undefined, "kube-apiserver", tools),
  };
}

async function program(
  given: string | undefined,
  tool: "etcd" | "kube-apiserver",
  tools: ToolOptions,
): Promise<string> {
  return given === undefined ? (await findTool(tool, tools)).path : resolve(given);
}

/** Whether a process may have a host name of its own: a UTS namespace needs root. */
async function canNameHosts(): Promise<boolean> {
  return run("unshare", ["--uts", "sh", "-c", "hostname kms-etcd-probe"]).then(
    () => true,
    () => false,
  );
}

async function chooseSocketRoot(layout: StateLayout): Promise<string> {
  const own = join(layout.directory, "run");
  return Buffer.byteLength(own) <= longestSocketRoot ? own : mkdtemp(join(tmpdir(), "kms-etcd-"));
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
