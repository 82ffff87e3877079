/** `control-plane.json`: how the engine finds its way around a control plane of ours. */
import { basename, extname, join } from "node:path";
import { type LocalControlPlane, localControlPlaneFile } from "../core/local-control-plane";
import { pluginNodeOptions } from "../core/plugin-node-options";
import { readFileIfAny, writeFileAtomically } from "./atomic-file";
import { pkiFiles } from "./pki/control-plane-pki";
import type { ControlPlaneSettings } from "./settings";
import { apiServerHostNames, apiServerManifest, type StateLayout } from "./state-layout";

/** The control plane that `settings` make. */
export function describeControlPlane(layout: StateLayout, settings: ControlPlaneSettings): LocalControlPlane {
  const pki = pkiFiles(layout);
  return {
    formatVersion: 1,
    name: basename(layout.directory),
    stateDirectory: layout.directory,
    kubernetesVersion: settings.kubernetesVersion,
    separateHostNames: settings.utsNamespaces,
    etcd: {
      endpoints: [`https://127.0.0.1:${settings.etcdPort}`],
      client: pki.etcdAdministrator,
      prefix: "/registry",
    },
    hosts: apiServerHostNames(settings.hosts).map((name, index) => {
      const host = layout.host(name);
      return {
        name,
        apiServerUrl: `https://127.0.0.1:${settings.apiServerPorts[index]}`,
        client: pki.administrator,
        manifestDirectory: host.manifestDirectory,
        apiServerManifest,
        encryptionConfigFile: host.encryptionConfigFile,
        pluginSocketDirectory: join(settings.socketRoot, name),
        backupDirectory: host.backupDirectory,
      };
    }),
    pluginCommand: [process.execPath, ...pluginNodeOptions, join(builtDirectory(), "plugin-server", "main.js")],
    pluginSettings: settings.pluginSettings,
  };
}

/** Written before the first process starts, so that whoever finds processes finds this too. */
export async function writeDescriptor(controlPlane: LocalControlPlane): Promise<void> {
  const file = join(controlPlane.stateDirectory, localControlPlaneFile);
  await writeFileAtomically(file, `${JSON.stringify(controlPlane, undefined, 2)}\n`);
}

/** The descriptor in a state directory, or undefined when no control plane was started there. */
export async function readDescriptor(stateDirectory: string): Promise<LocalControlPlane | undefined> {
  const text = await readFileIfAny(join(stateDirectory, localControlPlaneFile));
  return text === undefined ? undefined : (JSON.parse(text) as LocalControlPlane);
}

/** `dist/` of this checkout, also when this module runs from its TypeScript source, as in tests. */
function builtDirectory(): string {
  return extname(__filename) === ".ts" ? join(__dirname, "..", "dist") : join(__dirname, "..");
}
