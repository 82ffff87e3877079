/** How a plugin is written down on a host: as a static pod's manifest, or as a systemd unit. Both carry the hash of their content. */
import type { PluginInstance } from "../../../core/plugin-instance";
import type { Outdated } from "../../observation";
import { isUnitAsWritten, unitDifferences } from "../systemd/sealed-unit";
import type { FleetHost } from "./fleet-host";
import type { DefinitionFile } from "./host-manifests";
import { isAsWritten, manifestDifferences, sealManifest } from "./sealed-manifest";

type Place = Pick<FleetHost, "pluginManifest" | "systemd">;

const podForm = {
  what: "manifest",
  ending: ".yaml",
  seal: sealManifest,
  isAsWritten,
  differences: manifestDifferences,
};
const unitForm: typeof podForm = {
  what: "unit",
  ending: ".service",
  seal: (text) => text,
  isAsWritten: isUnitAsWritten,
  differences: unitDifferences,
};

export function pluginForm({ systemd }: Pick<FleetHost, "systemd">): typeof podForm {
  return systemd === undefined ? podForm : unitForm;
}

/** What the engine would write for `plugin`; `files` are those that the host has. */
export function wantedPlugin(at: Place, plugin: PluginInstance, files: readonly DefinitionFile[]): string {
  const manifests = files.map(({ manifest }) => manifest);
  return pluginForm(at).seal(at.pluginManifest(plugin, manifests));
}

/** Undefined where the file has what the engine would write, or where it is not the engine's file. */
export function outdatedPlugin(
  at: Place,
  plugin: PluginInstance,
  files: readonly DefinitionFile[],
): Outdated | undefined {
  const form = pluginForm(at);
  const file = files.find(({ fileName }) => fileName === `${plugin.name}${form.ending}`);
  if (file === undefined) return undefined;
  const wanted = wantedPlugin(at, plugin, files);
  const differences = file.text === wanted ? [] : form.differences(file.text, wanted);
  return differences.length === 0 ? undefined : { differences, isEdited: !form.isAsWritten(file.text) };
}
