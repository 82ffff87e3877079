/** The unit by which systemd runs one KMS plugin instance on a host without static pods. */
import { dirname } from "node:path";
import { KmsEtcdError } from "../../../core/errors";
import { describeKey } from "../../../core/key-reference";
import { type PluginPodInstance, pluginStaticPod } from "../../../core/plugin-static-pod";
import type { SelfManagedPlugin } from "../../../core/self-managed-cluster";
import { staticPodAnnotations } from "../../../core/static-pod";
import { sealedUnit } from "../systemd/sealed-unit";
import { serviceUnit } from "../systemd/unit-file";
import { commandWord, quotedWord } from "../systemd/unit-words";
import { commandOf } from "./api-server-unit";
import { type Manifest, readManifest } from "./manifest";

/** With its seal. The flags are those of the static pod. */
export function pluginUnit(
  instance: PluginPodInstance,
  settings: SelfManagedPlugin,
  { apiServerUnit }: { readonly apiServerUnit: string },
): string {
  const { program = [], environment = {} } = settings;
  if (program.length === 0) {
    throw new KmsEtcdError("invalid-input", "plugin.program is missing", {
      remedy: "say which command runs the KMS plugin on hosts with an apiServerUnit",
    });
  }
  const pod = readManifest(pluginStaticPod(instance, { ...settings, image: "", command: [] }));
  const words = [...program, ...(pod?.arguments ?? [])];
  const directory = dirname(instance.socketPath);
  const lines = [
    "[Unit]",
    `Description=KMS plugin for the encryption of etcd, ${describeKey(instance.key).replaceAll("%", "%%")}`,
    "Wants=network-online.target",
    "After=network-online.target",
    // It has to answer when the API server starts.
    `Before=${apiServerUnit}`,
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    // The program's own path is taken as it is: systemd puts no variables into it.
    `ExecStart=${[quotedWord(words[0] ?? ""), ...words.slice(1).map(commandWord)].join(" ")}`,
    ...Object.entries(environment).map(([name, value]) => `Environment=${quotedWord(`${name}=${value}`)}`),
    // /run is empty after a boot. Several plugins share the directory.
    ...(directory.startsWith("/run/")
      ? [
          `RuntimeDirectory=${directory.slice("/run/".length)}`,
          "RuntimeDirectoryMode=0700",
          "RuntimeDirectoryPreserve=yes",
        ]
      : []),
    "Restart=always",
    "RestartSec=1",
    "TimeoutStopSec=10",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ];
  return sealedUnit({ [staticPodAnnotations.key]: describeKey(instance.key) }, lines.join("\n"));
}

/** What a `.service` file has run; its name is the file's without the ending. Undefined for one that starts nothing. */
export function parseUnit(fileName: string, text: string): Manifest | undefined {
  const { commands, notes, user } = serviceUnit([text]);
  const arguments_ = commandOf(commands[0], {});
  if (arguments_ === undefined) return undefined;
  return {
    name: fileName.replace(/\.service$/, ""),
    labels: {},
    annotations: notes,
    arguments: arguments_,
    ports: [],
    mounts: [],
    isContainer: false,
    runsAsRoot: user === undefined,
  };
}
