/** The cache of installed tools: one folder a program, version and platform, which is there as a whole or not at all. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "./cache-directory";
import { type Platform, thisPlatform } from "./catalog";
import { withLock } from "./file-lock";
import type { Tool } from "./tool";

/** How a tool came into the cache. */
export type InstallOrigin = "download" | "build";

export interface CachedTool {
  readonly path: string;
  readonly origin: InstallOrigin;
}

/** For example `kube-apiserver-1.36.3-linux-amd64`. */
export function cacheKey(tool: Pick<Tool, "program" | "version">, platform: Platform = thisPlatform()): string {
  return `${tool.program}-${tool.version}-${platform.os}-${platform.architecture}`;
}

/** The tool in the cache, or undefined. */
export async function cachedTool(tool: Tool): Promise<CachedTool | undefined> {
  const folder = toolFolder(tool);
  try {
    // Written last and moved into place with the rest: where it is, the program is whole.
    const { origin } = JSON.parse(await readFile(join(folder, originFile), "utf8")) as { origin: InstallOrigin };
    return { path: join(folder, "bin", tool.program), origin };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw thrown;
  }
}

export interface InstallOptions {
  readonly onWait: (seconds: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Puts a tool into the cache: `install` fills the folder it is given and says where the tool came from. Only one process
 * installs a tool at a time; a second one waits, and finds it there. A run that is killed leaves nothing that is used.
 */
export async function installIntoCache(
  tool: Tool,
  install: (bin: string) => Promise<InstallOrigin>,
  options: InstallOptions,
): Promise<CachedTool> {
  const key = cacheKey(tool);
  const tools = join(cacheDirectory(), "tools");
  await mkdir(tools, { recursive: true });
  const work = async (): Promise<CachedTool> => {
    const present = await cachedTool(tool);
    if (present !== undefined) return present;
    // What killed runs left: nobody else is at it while we have the lock.
    for (const name of await readdir(tools)) {
      if (name.startsWith(`.${key}.`)) await rm(join(tools, name), { recursive: true, force: true });
    }
    const temporary = join(tools, `.${key}.${randomBytes(6).toString("hex")}`);
    try {
      const bin = join(temporary, "bin");
      await mkdir(bin, { recursive: true });
      const origin = await install(bin);
      await writeFile(
        join(temporary, originFile),
        `${JSON.stringify({ origin, installedAt: new Date().toISOString() })}\n`,
      );
      await rename(temporary, toolFolder(tool));
      return { path: join(toolFolder(tool), "bin", tool.program), origin };
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  };
  return withLock(join(cacheDirectory(), "locks", key), work, options);
}

const originFile = "origin.json";

function toolFolder(tool: Tool): string {
  return join(cacheDirectory(), "tools", cacheKey(tool));
}
