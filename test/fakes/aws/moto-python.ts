/** A Python with moto in it: this machine's, or a virtual environment of our own in the cache, which pip fills. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory } from "../../../tools/cache-directory";
import { withLock } from "../../../tools/file-lock";

const run = promisify(execFile);
/** The one that the recorded ciphertexts were made with. */
const version = "5.2.1";

/** The path of the Python; undefined, with the reason on standard output, where there is none and none can be made. */
export async function findMotoPython(): Promise<string | undefined> {
  if (await hasMoto("python3")) return "python3";
  const environment = join(cacheDirectory(), `moto-${version}`);
  const python = join(environment, "bin", "python3");
  try {
    await withLock(environment, async () => {
      // What an interrupted run has left is finished: both steps may be repeated.
      if (await hasMoto(python)) return;
      await run("python3", ["-m", "venv", environment], { timeout: 120_000 });
      await run(python, ["-m", "pip", "install", "--quiet", `moto[server,kms]==${version}`], { timeout: 600_000 });
    });
    return python;
  } catch (thrown) {
    process.stdout.write(
      `moto ${version} cannot be had: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`,
    );
    return undefined;
  }
}

async function hasMoto(python: string): Promise<boolean> {
  const check = `import moto.server, sys; sys.exit(moto.__version__ != "${version}")`;
  return run(python, ["-c", check], { timeout: 300_000 }).then(
    () => true,
    () => false,
  );
}
