/** Builds a tool from the Go modules that are pinned in `tools/go`: go.mod and go.sum, and no code. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { KmsEtcdError } from "../core/errors";
import { addCompanions } from "./companions";
import { programVersion } from "./program-version";
import { projectDirectory } from "./project-directory";
import type { Report } from "./report";
import type { Tool } from "./tool";

export interface BuildOptions {
  readonly report: Report;
  readonly signal?: AbortSignal;
}

/** The Go that the modules ask for; an older one (from 1.21 on) would try to download it. */
const oldestGo = "1.26.0";
const shownErrorLines = 20;
const progressMilliseconds = 1_000;

/** Builds the program into `bin`. Throws `not-found` without Go, `internal` with the end of Go's own output. */
export async function buildTool(tool: Tool, bin: string, options: BuildOptions): Promise<void> {
  const go = await requireGo(tool);
  const { build } = tool;
  const directory = join(projectDirectory(), "tools", "go", build.module);
  const args = [
    "build",
    "-v", // one line a package: the progress
    "-trimpath",
    "-mod=readonly",
    "-buildvcs=false",
    ...(build.tags.length === 0 ? [] : ["-tags", build.tags.join(",")]),
    "-ldflags",
    build.linkerFlags,
    "-o",
    join(bin, tool.program),
    build.package,
  ];
  options.report(`building with Go ${go} (cold: about ${build.minutes} on two free cores)`);
  await runGo(tool, args, directory, options);
  await addCompanions(tool, bin);
}

async function requireGo(tool: Tool): Promise<string> {
  const remedy = `install Go ${oldestGo} or newer, or put ${tool.program} ${tool.accepted.atLeast} or newer on PATH`;
  const version = await programVersion("go", ["version"]).catch((cause: unknown) => {
    throw new KmsEtcdError(
      "not-found",
      `${tool.program} ${tool.version} is not on this machine, could not be downloaded, and can't be built: there is no go on PATH`,
      { remedy, cause },
    );
  });
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [neededMajor = 0, neededMinor = 0] = oldestGo.split(".").map(Number);
  if (major < neededMajor || (major === neededMajor && minor < neededMinor)) {
    throw new KmsEtcdError("unsupported", `${tool.program} ${tool.version} can't be built with Go ${version}`, {
      remedy,
    });
  }
  return version;
}

async function runGo(tool: Tool, args: readonly string[], directory: string, options: BuildOptions): Promise<void> {
  const child = spawn("go", args, {
    cwd: directory,
    env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "", GOWORK: "off", GOTOOLCHAIN: "local" },
    stdio: ["ignore", "ignore", "pipe"],
    ...(options.signal && { signal: options.signal }),
  });
  const begun = Date.now();
  const tail: string[] = [];
  let packages = 0;
  let last = "";
  createInterface({ input: child.stderr }).on("line", (line) => {
    last = line;
    tail.push(line);
    if (tail.length > shownErrorLines) tail.shift();
    if (!line.includes(" ")) packages += 1;
  });
  const timer = setInterval(() => {
    const seconds = Math.round((Date.now() - begun) / 1000);
    options.report(`${packages} packages built, ${seconds} s${last === "" ? "" : `, ${last}`}`, true);
  }, progressMilliseconds);
  try {
    const ended = await new Promise<string | undefined>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
    });
    if (ended === undefined) return;
    options.signal?.throwIfAborted();
    throw new KmsEtcdError(
      "internal",
      `go build of ${tool.program} in ${directory} ended with ${ended}:\n${tail.map((line) => `    ${line}`).join("\n")}`,
      {
        remedy: `try it by hand: cd ${directory} && CGO_ENABLED=0 go build -o /dev/null ${tool.build.package}`,
      },
    );
  } finally {
    clearInterval(timer);
  }
}
