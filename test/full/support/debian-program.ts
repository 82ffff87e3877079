/** A program that the full tier needs: this machine's, or Debian's where this user may install it. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Whether the program is there now; the reason why not goes to standard output, as tests that are skipped say why. */
export async function haveProgram(program: string, debianPackage = program): Promise<boolean> {
  if (await isOnPath(program)) return true;
  if (process.geteuid?.() !== 0) return absent(program, "it is not installed, and only root may install it");
  try {
    await run("apt-get", ["update", "-qq"], { timeout: 300_000 });
    await run("apt-get", ["install", "-qq", "-y", "--no-install-recommends", debianPackage], { timeout: 600_000 });
  } catch (error) {
    return absent(program, error instanceof Error ? error.message : String(error));
  }
  return (await isOnPath(program)) || absent(program, `${debianPackage} does not have it`);
}

async function isOnPath(program: string): Promise<boolean> {
  return run("sh", ["-c", 'command -v "$1"', "sh", program]).then(
    () => true,
    () => false,
  );
}

function absent(program: string, reason: string): false {
  process.stdout.write(`${program} can't be had: ${reason}\n`);
  return false;
}
