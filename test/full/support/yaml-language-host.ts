/** Pulumi's own language host for YAML. The official CLI brings it along; beside a CLI that was built it is built from a pinned Go module. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { cacheDirectory } from "../../../tools/cache-directory";
import { findTool } from "../../../tools/find-tool";
import { projectDirectory } from "../../../tools/project-directory";

const program = "pulumi-language-yaml";
const modulePath = "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml";
/** Of tools/go/pulumi-yaml. It prints no version, so it is no tool of the catalog. */
const version = "1.19.1";

/** The folder with the program; a text when it cannot be had here. */
export async function yamlLanguageHost(): Promise<{ readonly folder: string } | { readonly missing: string }> {
  const cached = join(cacheDirectory(process.env), "tools", `${program}-${version}`);
  const beside = dirname((await findTool("pulumi")).path);
  const folder = [beside, ...(process.env["PATH"] ?? "").split(delimiter), cached].find(holdsIt);
  if (folder !== undefined) return { folder };
  const args = [
    "build",
    "-trimpath",
    "-mod=readonly",
    "-buildvcs=false",
    "-ldflags",
    "-s -w",
    "-o",
    join(cached, program),
    modulePath,
  ];
  const cwd = join(projectDirectory(), "tools", "go", "pulumi-yaml");
  const { status, stderr, error } = spawnSync("go", args, { cwd, encoding: "utf8", timeout: 20 * 60_000 });
  return status === 0 ? { folder: cached } : { missing: `go build ${modulePath}: ${error?.message ?? stderr}` };
}

function holdsIt(folder: string): boolean {
  try {
    accessSync(join(folder, program), constants.X_OK);
    return folder !== "";
  } catch {
    return false;
  }
}
