/**
 * The external programs of this project: kube-apiserver, kubectl, etcd and the Pulumi CLI. Each is taken from this machine
 * where it is new enough, else from the cache, else downloaded from where its project publishes it, else built from Go
 * modules that are pinned here. Nothing is installed outside the cache.
 *
 * This file is the command line.
 */
import { Argument, Command } from "commander";
import { describeError } from "../core/errors";
import { cacheDirectory } from "./cache-directory";
import { describeTool } from "./catalog";
import { findTool, lookForTool } from "./find-tool";
import { reportTo } from "./report";
import { type ToolName, toolNames } from "./tool";

/** What the local example and `npm test` need. */
const defaultTools: readonly ToolName[] = ["etcd", "kube-apiserver", "kubectl", "pulumi"];

const report = reportTo(process.stderr);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

async function install(names: readonly ToolName[], signal: AbortSignal): Promise<void> {
  for (const name of names.length === 0 ? defaultTools : names) {
    const found = await findTool(name, { report, signal });
    print(`${found.name} ${found.version} (${found.origin}): ${found.path}`);
  }
}

async function list(flags: { readonly json?: boolean }): Promise<void> {
  const rows = await Promise.all(
    toolNames.map(async (name) => ({ name, wanted: describeTool(name).version, found: await lookForTool(name) })),
  );
  if (flags.json) {
    print(JSON.stringify({ cache: cacheDirectory(), tools: rows }, undefined, 2));
    return;
  }
  print(`cache: ${cacheDirectory()}`);
  for (const { name, wanted, found } of rows) {
    print(found ? `${name} ${found.version} (${found.origin}): ${found.path}` : `${name} ${wanted}: not there`);
  }
}

function program(): Command {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => interrupted.abort(new Error(`interrupted by ${signal}`)));
  }
  const root = new Command("tools").description("the external programs of this project");
  root
    .command("install")
    .description("find or install programs, and print where they are")
    .addArgument(new Argument("[names...]", `default: ${defaultTools.join(" ")}`).choices(toolNames))
    .action((names: readonly ToolName[]) => install(names, interrupted.signal));
  root
    .command("list")
    .description("print what is there, and install nothing")
    .option("--json", "print JSON")
    .action(list);
  return root;
}

program()
  .parseAsync()
  .catch((thrown: unknown) => {
    report(`error: ${describeError(thrown)}`);
    process.exitCode = 1;
  });
