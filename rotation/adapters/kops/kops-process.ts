/** Runs the user's own kops: arguments as a list and never through a shell, texts through standard input, and a time limit on each. */
import { spawn } from "node:child_process";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";

export interface KopsCommand {
  readonly args: readonly string[];
  /** What goes into its standard input: secrets pass here, and so are seen in no list of processes. */
  readonly input?: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface KopsResult {
  readonly code: number;
  readonly stdout: string;
  /** What it said besides. Never a secret: kOps prints those on standard output only. */
  readonly stderr: string;
}

export type RunKopsCommand = (command: KopsCommand) => Promise<KopsResult>;

const killAfter = 10_000;
/** Previews of large clusters have some hundred kilobytes. */
const longestOutput = 64 * 1024 * 1024;

/** `variables` is the environment of the process; credentials and the state store may be in it. */
export function createKopsRunner(
  program: string,
  variables: Readonly<Record<string, string | undefined>> = process.env,
): RunKopsCommand {
  // Both the variable and a name among the arguments are an error to kOps.
  const { KOPS_CLUSTER_NAME: _named, ...environment } = variables;
  return ({ args, input, timeoutMs, signal }) =>
    new Promise((resolve, reject) => {
      const what = `kops ${args.slice(0, 2).join(" ")}`;
      const child = spawn(program, args, { env: environment, stdio: ["pipe", "pipe", "pipe"] });
      const chunks: Readonly<Record<"stdout" | "stderr", Buffer[]>> = { stdout: [], stderr: [] };
      let size = 0;
      let stopped: KmsEtcdError | undefined;
      let killing: NodeJS.Timeout | undefined;
      const stop = (reason: KmsEtcdError) => {
        stopped ??= reason;
        child.kill("SIGTERM");
        killing ??= setTimeout(() => child.kill("SIGKILL"), killAfter);
      };
      const limit = setTimeout(() => {
        const seconds = Math.round(timeoutMs / 1_000);
        // kOps itself tries for ten minutes what can't succeed, so a shorter limit says the same sooner.
        stop(new KmsEtcdError("timeout", `${what} did not end within ${seconds} s: ${lastLine(text(chunks.stderr))}`));
      }, timeoutMs);
      const abort = () => stop(new KmsEtcdError("cancelled", `${what} was stopped`));
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      for (const stream of ["stdout", "stderr"] as const) {
        child[stream].on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > longestOutput)
            stop(new KmsEtcdError("unsupported", `${what} printed more than ${longestOutput} bytes`));
          else chunks[stream].push(chunk);
        });
      }
      // A program that has ended does not read its input any more.
      child.stdin.on("error", () => undefined);
      child.stdin.end(input ?? "");
      const settle = () => {
        clearTimeout(limit);
        clearTimeout(killing);
        signal.removeEventListener("abort", abort);
      };
      child.once("error", (cause: NodeJS.ErrnoException) => {
        settle();
        const remedy = "install kops of your cluster's minor version, or name its path";
        reject(
          new KmsEtcdError("not-found", `${program} can't be started: ${cause.code ?? cause.message}`, {
            remedy,
            cause,
          }),
        );
      });
      child.once("close", (code) => {
        settle();
        if (stopped !== undefined) reject(stopped);
        else resolve({ code: code ?? 1, stdout: text(chunks.stdout), stderr: text(chunks.stderr) });
      });
    });
}

/** What a command that failed means, by what it said last. */
export function kopsFailure(what: string, { stderr }: KopsResult): KmsEtcdError {
  const reason = lastLine(stderr);
  return new KmsEtcdError(codeOf(reason), `${what}: ${reason}`);
}

const meanings: readonly (readonly [RegExp, ErrorCode])[] = [
  [/AccessDenied|UnauthorizedOperation|Forbidden|InvalidClientTokenId|ExpiredToken/, "permission-denied"],
  [/Throttl|RequestLimitExceeded|SlowDown|TooManyRequests/, "throttled"],
  [
    /connection refused|no such host|i\/o timeout|Unable to reach the kubernetes API|TLS handshake timeout/,
    "unreachable",
  ],
  [/connection reset|\bEOF\b|broken pipe|no route to host|network is unreachable/, "unreachable"],
  // AWS' own words for what it asks to try again.
  [/ServiceUnavailable|InternalError|InternalFailure|RequestTimeout/, "unreachable"],
  [/context deadline exceeded/, "timeout"],
];

function codeOf(reason: string): ErrorCode {
  // What is not known won't pass by itself: the run ends with kOps' own words.
  return meanings.find(([form]) => form.test(reason))?.[1] ?? "invalid-input";
}

function lastLine(stderr: string): string {
  const lines = stderr.split("\n").filter((line) => line.trim() !== "");
  const error = lines.findLast((line) => /^Error:/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
  return error.replace(/^Error:\s*/i, "").slice(0, 1_000);
}

function text(chunks: readonly Buffer[]): string {
  return Buffer.concat(chunks).toString("utf8");
}
