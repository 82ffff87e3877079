/** The static pod by which a control-plane host runs one KMS plugin instance. */
import { stringify } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import { describeKey } from "../../../core/key-reference";
import type { PluginInstance } from "../../../core/plugin-instance";
import { longestSocketPath, pluginComponent, staticPodAnnotations } from "../../../core/static-pod";
import { flagValue, type Manifest } from "./manifest";

export interface LocalPluginHost {
  readonly pluginSocketDirectory: string;
  /** The command and first arguments of a plugin process, before its flags. */
  readonly pluginCommand: readonly string[];
}

/** The manifest for a host without images, where the plugin runs from the machine's own file system. */
export function localPluginManifest(plugin: PluginInstance, host: LocalPluginHost): string {
  if (plugin.key.kind !== "local") {
    throw new KmsEtcdError("unsupported", `a control plane on this machine cannot use ${describeKey(plugin.key)}`, {
      remedy: "give it a localKey",
    });
  }
  const socket = `${host.pluginSocketDirectory}/${plugin.socketFile}`;
  if (Buffer.byteLength(socket) > longestSocketPath) {
    throw new KmsEtcdError(
      "invalid-input",
      `${socket} is longer than the ${longestSocketPath} bytes of a unix socket's path`,
      {
        remedy: "choose a shorter state directory",
      },
    );
  }
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: plugin.name,
        namespace: "kube-system",
        labels: { tier: "control-plane", component: pluginComponent },
        annotations: { [staticPodAnnotations.key]: describeKey(plugin.key) },
      },
      spec: {
        hostNetwork: true,
        priorityClassName: "system-node-critical",
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: pluginComponent,
            command: [
              ...host.pluginCommand,
              "local",
              `--key-file=${plugin.key.file}`,
              `--listen-addr=unix://${socket}`,
              // No port: several instances share this machine, and the engine asks over the socket.
              "--healthz-port=0",
            ],
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}

/** Whether the manifest is of a plugin that the engine started. */
export function isOurPlugin(manifest: Manifest): boolean {
  return manifest.labels["component"] === pluginComponent;
}

/** The path of the socket that the plugin listens on, as the manifest has it. */
export function socketOf(manifest: Manifest): string | undefined {
  const address = flagValue(manifest, "listen-addr") ?? flagValue(manifest, "listen");
  return address?.replace(/^unix:\/\//, "");
}
