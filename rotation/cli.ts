#!/usr/bin/env node
/**
 * `kms-etcd`: the engine from a terminal, for the day when Pulumi is not at hand. It is the same engine that `pulumi up` runs,
 * and keeps nothing of its own, so either may go on where the other one stopped. This file is the process: its arguments,
 * its streams and its signals.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode } from "./cli/exit-code";
import { runCli } from "./cli/program";

const interrupted = new AbortController();
function stop(signal: NodeJS.Signals): void {
  // The second time is impatience. Ending anywhere is safe: the next run goes on from what it finds.
  if (interrupted.signal.aborted) process.exit(ExitCode.Interrupted);
  process.stderr.write("\nstopping at the next safe point; once more ends it at once\n");
  interrupted.abort(new Error(`interrupted by ${signal}`));
}
process.on("SIGINT", stop);
process.on("SIGTERM", stop);
// A reader that has gone, like `head`, must not end a rotation half-way.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

// Of the package, two folders above dist/rotation/cli.js.
const manifest = readFileSync(join(__dirname, "..", "..", "package.json"), "utf8");
const { version } = JSON.parse(manifest) as { version: string };

void runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupted.signal,
  version,
}).then((code) => {
  process.exitCode = code;
});
