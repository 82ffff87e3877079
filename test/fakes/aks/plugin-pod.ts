/** The static pod of one KMS plugin beside an API server: our plugin server, against the vaults of the Azure fake. */
import { stringify } from "yaml";
import type { KmsWriter } from "../arm/kms-cluster";

export interface PluginPodOptions {
  readonly name: string;
  readonly writer: Exclude<KmsWriter, "identity">;
  readonly socket: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Says whom the plugin calls Key Vault as. */
  readonly azureJson: string;
  /** Of a key without a version: the version that there is now. */
  readonly newestKeyId: (keyId: string) => string;
  /** Of the platform's own key. */
  readonly platformKeyFile: string;
}

/** The manifest's text. */
export function pluginPod(options: PluginPodOptions): string {
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: options.name, namespace: "kube-system" },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 10,
        containers: [
          {
            name: "azurekmsprovider",
            command: [...options.command, ...argumentsOf(options), `--listen-addr=unix://${options.socket}`],
            env: Object.entries(options.environment).map(([name, value]) => ({ name, value })),
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}

function argumentsOf({ writer, azureJson, newestKeyId, platformKeyFile }: PluginPodOptions): readonly string[] {
  if (writer === "platform") return ["local", `--key-file=${platformKeyFile}`, "--healthz-port=0"];
  const isVersioned = writer.keyId.split("/").length === 6;
  const [, vault = "", key = "", version = ""] =
    /^https:\/\/([^./]+)\.[^/]+\/keys\/([^/]+)\/([^/]+)$/.exec(
      isVersioned ? writer.keyId : newestKeyId(writer.keyId),
    ) ?? [];
  return [
    "azure",
    `--keyvault-name=${vault}`,
    `--key-name=${key}`,
    `--key-version=${version}`,
    `--config-file-path=${azureJson}`,
    "--healthz-port=0",
    "--metrics-addr=0",
    "--probe-interval=2s",
  ];
}
