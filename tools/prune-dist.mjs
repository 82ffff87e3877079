/**
 * Removes compiled files whose source is gone: `tsc` never does, and `npm pack` would ship them. Runs before every pack.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const project = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(project, "dist");

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const compiled = join(entry.parentPath, entry.name);
  const stem = /^(.*?)(\.d\.ts|\.js)$/.exec(relative(dist, compiled))?.[1];
  if (stem !== undefined && !existsSync(join(project, `${stem}.ts`))) rmSync(compiled);
}
