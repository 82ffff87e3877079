/** The end of a log, for an error message. */
import { readFileSync } from "node:fs";

const usual = 12;

/** The last lines, twelve unless told, indented; empty when there is no log. */
export function logTail(file: string, lines = usual): string {
  try {
    const all = readFileSync(file, "utf8").trimEnd().split("\n");
    return all
      .slice(-lines)
      .map((line) => `    ${line}`)
      .join("\n");
  } catch {
    return "";
  }
}
