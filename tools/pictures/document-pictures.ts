/** Every picture of the documents, with its source. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dashboardPicture, type RecordedDashboard } from "./dashboard-picture";
import { terminalPicture } from "./terminal-picture";

const terminals = {
  preview: "pulumi preview --diff of a rotation, from version 2 to 3 of the key",
  progress: "pulumi up, while it rotates: progress by stage",
  evidence: "pulumi stack output: the evidence after the rotation",
} as const;

/** By file name. */
export function documentPictures(folder: string): ReadonlyMap<string, string> {
  const read = (name: string) => readFileSync(join(folder, name), "utf8");
  return new Map([
    ...Object.entries(terminals).map(
      ([name, title]) => [`${name}.svg`, terminalPicture(title, read(`${name}.txt`))] as const,
    ),
    ["dashboard.svg", dashboardPicture(JSON.parse(read("dashboard-run.json")) as RecordedDashboard)],
  ]);
}
