/** A control-plane host's layout for the tests. */
import type { FleetHost } from "../../../../rotation/adapters/hosts/fleet-host";
import type { Host } from "../../../../rotation/adapters/hosts/host";
import { localPluginManifest } from "../../../../rotation/adapters/hosts/plugin-manifest";

export const paths = {
  config: "/host/encryption/config.yaml",
  backups: "/host/backups",
  manifests: "/host/manifests",
  apiServer: "/host/manifests/kube-apiserver.yaml",
  sockets: "/host/run",
} as const;

export const apiServerManifestText = `# kept
apiVersion: v1
kind: Pod
metadata:
  name: kube-apiserver
spec:
  containers:
    - name: kube-apiserver
      command:
        - kube-apiserver
        - --encryption-provider-config=/host/encryption/config.yaml
        - --encryption-provider-config-automatic-reload=true
        - --request-timeout=15s # shorter than the default
`;

export function fleetHost(host: Host, url = "http://127.0.0.1:1"): FleetHost {
  return {
    host,
    apiServer: { name: host.name, url, tls: { ca: "", cert: "", key: "" } },
    manifestDirectory: paths.manifests,
    apiServerManifest: "kube-apiserver.yaml",
    encryptionConfigFile: paths.config,
    pluginSocketDirectory: paths.sockets,
    backupDirectory: paths.backups,
    pluginManifest: (plugin) =>
      localPluginManifest(plugin, { pluginSocketDirectory: paths.sockets, pluginCommand: ["node", "plugin.js"] }),
  };
}
