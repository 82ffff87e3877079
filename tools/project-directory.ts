/** Where this project lies, whether its compiled code runs or its source. */
import { basename, dirname, join } from "node:path";

/** The folder with package.json. */
export function projectDirectory(): string {
  const parent = dirname(__dirname);
  return basename(parent) === "dist" ? join(parent, "..") : parent;
}
