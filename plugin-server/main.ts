#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=4 --max-old-space-size=128
/**
 * The KMS plugin's process: an API server asks it over a unix socket to encrypt and decrypt its data keys with a key that
 * lives in Azure Key Vault, in AWS KMS or, for development, in a local file. Command line to configuration to key
 * provider to servers to signals; everything that touches the process as a whole is here.
 */
import { describeError, KmsEtcdError } from "../core/errors";
import { readCommandLine } from "./config/command-line";
import { loadKeyProviders } from "./load-key-providers";
import { createLog } from "./log";
import { runPlugin } from "./run-plugin";
import { buildVersion } from "./version";

async function main(args: readonly string[]): Promise<void> {
  const commandLine = readCommandLine(args);
  const { version, commit, date } = buildVersion();
  if (commandLine.kind === "help") {
    process.stdout.write(commandLine.text);
    return;
  }
  if (commandLine.kind === "version") {
    // The keys that Azure/kubernetes-kms prints.
    process.stdout.write(`${JSON.stringify({ BuildVersion: version, GitCommit: commit, BuildDate: date })}\n`);
    return;
  }
  const { config, warnings } = commandLine;
  // A reader of the log that has gone must not take the plugin with it.
  process.stderr.on("error", () => undefined);
  const log = createLog(config.operation.log, process.stderr);
  for (const warning of warnings) log.always("warn", warning);

  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    // The second signal is impatience.
    if (stopping) process.exit(1);
    stopping = true;
    log.always("info", "stopping", { signal });
    void plugin
      .then((running) => running.stop())
      .then(
        () => process.exit(0),
        (error: unknown) => {
          log.always("error", "did not stop in order", { error: describeError(error) });
          process.exit(1);
        },
      );
  };
  // A promise that an SDK forgot must not end the process that API servers depend on.
  process.on("unhandledRejection", (error) => {
    log.always("error", "an error was not handled", {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
  });
  // As PID 1 of a container a signal without a handler is ignored.
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  log.always("info", "starting", { version, provider: config.kind });
  const plugin = runPlugin(config, loadKeyProviders(config), { log, version });
  await plugin;
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const remedy = error instanceof KmsEtcdError && error.remedy !== undefined ? `${error.remedy}\n` : "";
  process.stderr.write(`kms-etcd-plugin: ${messageOf(error)}\n${remedy}`);
  process.exit(1);
});

/** An error that is not ours is a bug: its stack says where. */
function messageOf(error: unknown): string {
  if (error instanceof KmsEtcdError) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
