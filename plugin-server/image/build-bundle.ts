/** The bundle and its version: from the sources in a checkout, where they may have changed, else as the package carries it. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { type BuildVersion, buildVersion } from "../version";
import type * as fromSources from "./bundle-plugin";
import { type PackedBundle, readPackedBundle } from "./packed-bundle";
import { interpreter } from "./root-filesystem";

/** Where this package's package.json is, run from its sources or compiled. */
export function packageRoot(): string {
  let directory = __dirname;
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return directory;
}

export async function buildBundle(project: string): Promise<PackedBundle> {
  if (!existsSync(join(project, "plugin-server", "main.ts"))) return readPackedBundle(project);
  // Loaded here, because the bundler is not among the package's dependencies.
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- see above
  const { bundlePlugin } = require("./bundle-plugin") as typeof fromSources;
  const version = await versionOf(project);
  return { version, bundle: await bundlePlugin(project, version, interpreter) };
}

/** Date and commit of what is checked out, so that the same checkout gives the same image. */
async function versionOf(project: string): Promise<BuildVersion> {
  const { version } = buildVersion();
  const log = await promisify(execFile)("git", ["log", "-1", "--format=%H %cI"], { cwd: project }).catch(
    () => undefined,
  );
  const [commit = "", date = ""] = log?.stdout.trim().split(" ") ?? [];
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  const seconds = epoch === undefined ? Date.parse(date) / 1_000 : Number(epoch);
  return { version, commit, date: Number.isFinite(seconds) ? new Date(seconds * 1_000).toISOString() : "" };
}
