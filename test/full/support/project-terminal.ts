/** A terminal in a Pulumi project, as runbooks mean it: `pulumi` is at hand, `npx kms-etcd` is installed, and nobody is asked to confirm. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { findTool } from "../../../tools/find-tool";
import { type PulumiProject, repository } from "../../e2e/support/pulumi-project";
import { type Terminal, terminal } from "./terminal";

export async function projectTerminal(
  project: PulumiProject,
  environment: Readonly<Record<string, string>> = {},
): Promise<Terminal> {
  const bin = join(project.directory, ".bin");
  mkdirSync(bin);
  // In the place of a package that is installed, which test/e2e/package.test.ts tries: the same command, compiled.
  writeFileSync(
    join(bin, "npx"),
    `#!/bin/sh\ntest "$1" = kms-etcd && shift && exec '${process.execPath}' '${join(repository, "dist", "rotation", "cli.js")}' "$@"\n`,
  );
  chmodSync(join(bin, "npx"), 0o755);
  return terminal(project.directory, {
    ...project.environment,
    ...environment,
    PATH: `${bin}:${dirname((await findTool("pulumi")).path)}:${process.env["PATH"] ?? ""}`,
    PULUMI_SKIP_CONFIRMATIONS: "true",
  });
}
