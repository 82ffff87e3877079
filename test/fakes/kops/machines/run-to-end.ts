/** Runs a program to its end, for what it prints. */
import { spawn } from "node:child_process";

const limit = 900_000;

/** Throws with what it said where it fails. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  input = "",
): Promise<string> {
  const child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "pipe"], timeout: limit });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].setEncoding("utf8").on("data", (chunk: string) => (said[stream] += chunk));
  }
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0)
    throw new Error(`kops ${args.slice(0, 3).join(" ")} ended with ${code}:\n${said.stderr.slice(-2_000)}`);
  return said.stdout;
}
