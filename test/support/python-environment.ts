/** A virtual environment of Python in the cache, with one package in it, which pip fills. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory } from "../../tools/cache-directory";
import { withLock } from "../../tools/file-lock";

const run = promisify(execFile);

export interface PythonPackage {
  readonly name: string;
  readonly version: string;
  readonly extras?: string;
}

/** Its folder of programs; undefined, with the reason on standard output, where it cannot be made. */
export async function pythonEnvironment({ name, version, extras = "" }: PythonPackage): Promise<string | undefined> {
  const environment = join(cacheDirectory(), `${name}-${version}`);
  const bin = join(environment, "bin");
  const python = join(bin, "python3");
  try {
    await withLock(environment, async () => {
      // What an interrupted run has left is finished: both steps may be repeated.
      if (await hasPackage(python, { name, version })) return;
      await run("python3", ["-m", "venv", environment], { timeout: 120_000 });
      const wanted = `${name}${extras}==${version}`;
      await run(python, ["-m", "pip", "install", "--quiet", wanted], { timeout: 900_000 });
    });
    return bin;
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    process.stdout.write(`${name} ${version} cannot be had: ${reason}\n`);
    return undefined;
  }
}

export async function hasPackage(python: string, { name, version }: PythonPackage): Promise<boolean> {
  const check = `from importlib.metadata import version as of; import sys; sys.exit(of("${name}") != "${version}")`;
  return run(python, ["-c", check], { timeout: 300_000 }).then(
    () => true,
    () => false,
  );
}
