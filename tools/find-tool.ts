/** Finds an external program: on this machine, in the cache, by download, or by building it. */
import { access, constants } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { KmsEtcdError } from "../core/errors";
import { buildTool } from "./build-tool";
import { describeTool } from "./catalog";
import { addCompanions } from "./companions";
import { downloadTool } from "./download-tool";
import { compareVersions, programVersion } from "./program-version";
import type { Report } from "./report";
import type { Tool, ToolName } from "./tool";
import { cachedTool, type InstallOrigin, installIntoCache } from "./tool-cache";

export interface FoundTool {
  readonly name: ToolName;
  readonly path: string;
  readonly version: string;
  /** `machine`: KUBEBUILDER_ASSETS or PATH. `cache`: installed by an earlier run. */
  readonly origin: "machine" | "cache" | InstallOrigin;
}

export interface FindOptions {
  /** Called with one line at a time, about once a second while something takes its time. */
  readonly report?: Report;
  readonly signal?: AbortSignal;
}

/** Throws KmsEtcdError, saying which step failed, why, and what to do, when the program can't be had. */
export async function findTool(name: ToolName, options: FindOptions = {}): Promise<FoundTool> {
  const found = await lookForTool(name);
  if (found !== undefined) return found;
  const tool = describeTool(name);
  const report: Report = (line, passing) => options.report?.(`${tool.program} ${tool.version}: ${line}`, passing);
  const step = { report, ...(options.signal && { signal: options.signal }) };
  const installed = await installIntoCache(
    tool,
    async (bin) => {
      const origin = (await downloadTool(tool, bin, step)) ? "download" : "build";
      if (origin === "build") await buildTool(tool, bin, step);
      await requireVersion(tool, join(bin, tool.program), origin);
      return origin;
    },
    {
      onWait: (seconds) => report(`another run is installing it, waiting (${seconds} s)`, true),
      ...(options.signal && { signal: options.signal }),
    },
  );
  return { name, path: installed.path, version: tool.version, origin: installed.origin };
}

/** The program, if it is on this machine or in the cache already. Installs nothing. */
export async function lookForTool(name: ToolName): Promise<FoundTool | undefined> {
  const tool = describeTool(name);
  const onMachine = await toolOnMachine(tool);
  if (onMachine !== undefined) return { name, ...onMachine, origin: "machine" };
  const cached = await cachedTool(tool);
  if (cached?.origin === "build") await addCompanions(tool, dirname(cached.path));
  return cached && { name, path: cached.path, version: tool.version, origin: "cache" };
}

/** The first program of that name that is new enough, in $KUBEBUILDER_ASSETS and then along $PATH. */
async function toolOnMachine(tool: Tool): Promise<{ readonly path: string; readonly version: string } | undefined> {
  const folders = [process.env["KUBEBUILDER_ASSETS"], ...(process.env["PATH"] ?? "").split(delimiter)];
  for (const folder of folders) {
    if (!folder) continue;
    const path = join(folder, tool.program);
    if (!(await isExecutable(path))) continue;
    const version = await programVersion(path, tool.versionArguments).catch(() => undefined);
    if (version !== undefined && isAccepted(tool, version)) return { path, version };
  }
  return undefined;
}

/** What was installed must run here, and be what it says. */
async function requireVersion(tool: Tool, path: string, origin: InstallOrigin): Promise<void> {
  const version = await programVersion(path, tool.versionArguments);
  if (version === tool.version) return;
  throw new KmsEtcdError("internal", `the ${origin} of ${tool.program} ${tool.version} says that it is ${version}`);
}

/** Whether a program of this version will do. */
export function isAccepted(tool: Pick<Tool, "accepted">, version: string): boolean {
  const { atLeast, below } = tool.accepted;
  return compareVersions(version, atLeast) >= 0 && (below === undefined || compareVersions(version, below) < 0);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
