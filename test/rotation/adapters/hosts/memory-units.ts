/** systemd on a host in memory: what it has loaded is what lay there when it was last told to look. */

import type { UnitControl } from "../../../../rotation/adapters/systemd/unit-control";
import { serviceUnit } from "../../../../rotation/adapters/systemd/unit-file";
import { type MemoryDisk, textOf } from "./memory-host";

export interface MemoryUnits extends UnitControl {
  /** What was asked for that changes something. */
  readonly asked: string[];
  /** The command line with which a unit was last started. */
  started(unit: string): string | undefined;
  /** Marks a job that has not ended. */
  readonly jobs: Set<string>;
}

const place = "/etc/systemd/system";

export function memoryUnits(disk: MemoryDisk): MemoryUnits {
  const loaded = new Map<string, string>();
  const running = new Map<string, string | undefined>();
  const asked: string[] = [];
  const jobs = new Set<string>();
  const load = () => {
    loaded.clear();
    for (const path of [...disk.files.keys()].sort()) {
      if (path.startsWith(`${place}/`)) loaded.set(path, textOf(disk, path) ?? "");
    }
  };
  const filesOf = (unit: string) =>
    [...loaded.keys()].filter(
      (path) => path === `${place}/${unit}` || (path.startsWith(`${place}/${unit}.d/`) && path.endsWith(".conf")),
    );
  const start = (unit: string) =>
    running.set(unit, serviceUnit(filesOf(unit).map((path) => loaded.get(path) ?? "")).commands[0]);
  load();
  return {
    asked,
    jobs,
    started: (unit) => running.get(unit),
    states: async (units) =>
      units.map((unit) => ({
        unit,
        isLoaded: loaded.has(`${place}/${unit}`),
        activeState: running.has(unit) ? "active" : "inactive",
        subState: running.has(unit) ? "running" : "dead",
        result: "success",
        hasJob: jobs.has(unit),
        files: filesOf(unit),
      })),
    reload: async () => load(),
    restart: async (unit) => {
      asked.push(`restart ${unit}`);
      start(unit);
    },
    enable: async (unit) => {
      if (running.has(unit)) return;
      asked.push(`enable ${unit}`);
      start(unit);
    },
    stop: async (unit) => {
      asked.push(`stop ${unit}`);
      running.delete(unit);
    },
    disable: async (unit) => {
      asked.push(`disable ${unit}`);
      running.delete(unit);
    },
  };
}
