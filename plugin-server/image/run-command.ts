/** Runs a program to its end and gives what it printed. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describeError, KmsEtcdError } from "../../core/errors";

const run = promisify(execFile);

/** Throws `not-found` without the program, `internal` with the end of its own words when it fails. */
export async function runCommand(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    const { stdout } = await run(program, [...args], { cwd, maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { code, stderr } = error as { readonly code?: unknown; readonly stderr?: string };
    if (code === "ENOENT") {
      throw new KmsEtcdError("not-found", `the program ${program} is missing`, {
        remedy: "build the image on Debian or Ubuntu",
        cause: error,
      });
    }
    throw new KmsEtcdError(
      "internal",
      `${program} ${args.join(" ")} failed: ${stderr?.trim().slice(-2_000) ?? describeError(error)}`,
      { cause: error },
    );
  }
}
