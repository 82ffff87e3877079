/** Asks a program for its version. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { KmsEtcdError } from "../core/errors";

const run = promisify(execFile);

/** A program that takes longer to say its version is not the one we look for. */
const answerMilliseconds = 20_000;

/** `major.minor.patch` of whatever the program prints. Throws `unsupported` when it does not run or prints no version. */
export async function programVersion(path: string, args: readonly string[]): Promise<string> {
  let output: string;
  try {
    output = (await run(path, args, { timeout: answerMilliseconds })).stdout;
  } catch (cause) {
    throw new KmsEtcdError("unsupported", `${path} ${args.join(" ")} does not run`, { cause });
  }
  const version = parseVersion(output);
  if (version === undefined) throw new KmsEtcdError("unsupported", `${path} ${args.join(" ")} prints no version`);
  return version;
}

/** The first `major.minor.patch` of a text, with or without a `v` before it. */
export function parseVersion(text: string): string | undefined {
  return /(?:^|[^\d.])v?(\d+\.\d+\.\d+)(?![\d.])/m.exec(text)?.[1];
}

/** Below zero when `a` is older than `b`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split(".").map(Number), b.split(".").map(Number)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
