/** What the engine does, in words for people: without names of objects, because events may be stored. */
import type { Action, Measurement } from "./decision";

/** As an event says it. */
export function describeAction(action: Action): string {
  switch (action.kind) {
    case "startPlugin":
      return `${action.server}: start ${action.plugin.name}`;
    case "stopPlugin":
      return `${action.server}: stop ${action.plugin}`;
    case "nameKeysByArn":
      return `${action.server}: put ${Object.values(action.arns).join(", ")} in the place of ${Object.keys(action.arns).join(", ")} in ${action.plugin}`;
    case "restorePlugin":
      return `${action.server}: put the manifest of ${action.plugin} back`;
    case "writeConfig":
      return `${action.writes.map((write) => write.server).join(", ")}: write the encryption configuration`;
    case "restart":
      return `${action.server}: restart the API server`;
    case "setUp":
      return `${action.server}: set the API server up for encryption`;
    case "undoSetUp":
      return `${action.server}: put the API server's manifest back`;
    case "compact":
      return `have etcd forget what was overwritten before revision ${action.revision}`;
    case "restoreLoaded":
      return `${action.server}: put the loaded configuration back`;
    case "rewrite":
      return `rewrite ${action.targets.map((target) => target.resource).join(", ")}`;
  }
}

/** As an event says it. */
export function describeMeasurement(measurement: Measurement): string {
  switch (measurement.kind) {
    case "crosswise":
      return `try ${measurement.plugin.name} crosswise on ${measurement.servers.join(", ")}`;
    case "stored":
      return `look at every stored value of ${measurement.targets.map((target) => target.resource).join(", ")}`;
    case "readThrough":
      return `read every object through ${measurement.server}`;
    case "snapshot":
      return `keep a snapshot of etcd in ${measurement.directory}`;
  }
}
