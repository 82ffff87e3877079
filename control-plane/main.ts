/**
 * A real control plane on this machine: etcd and several kube-apiservers, each API server on a host of its own, which is a
 * directory with static pod manifests. The local example and all end-to-end tests run on it, so that the engine changes
 * what it would change on real control-plane hosts: manifests, encryption configurations and plugin sockets.
 *
 * This file is its command line.
 */
import { Command, InvalidArgumentError } from "commander";
import { describeError } from "../core/errors";
import { reportTo } from "../tools/report";
import { statusControlPlane } from "./control-plane-status";
import { formatStatus } from "./format-status";
import { startControlPlane } from "./start-control-plane";
import { cleanControlPlane, stopControlPlane } from "./stop-control-plane";

const report = reportTo(process.stderr);
const print = (text: string): void => void process.stdout.write(`${text}\n`);

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("give a whole number.");
  return Number(text);
}

function wholeNumbers(text: string): readonly number[] {
  return text.split(",").map(wholeNumber);
}

interface StartFlags {
  readonly state: string;
  readonly json?: boolean;
  readonly hosts?: number;
  readonly ports?: readonly number[];
  readonly etcdPort?: number;
  readonly stagger?: number;
  readonly requestTimeout?: number;
  readonly apiServer?: string;
  readonly automaticReload: boolean;
}

function program(): Command {
  const root = new Command("control-plane").description("etcd and kube-apiservers on this machine, as static pods");
  const command = (name: string, description: string): Command =>
    root
      .command(name)
      .description(description)
      .requiredOption("--state <directory>", "state directory")
      .option("--json", "print JSON");

  command("start", "start it, or find it running; returns when all servers are ready")
    .option("--hosts <number>", "API servers (default: 3)", wholeNumber)
    .option("--ports <ports>", "API servers' ports, separated by commas (default: free ones)", wholeNumbers)
    .option("--etcd-port <port>", "etcd's client port (default: a free one)", wholeNumber)
    .option("--stagger <seconds>", "time between the starts of two API servers (default: 0)", wholeNumber)
    .option("--request-timeout <seconds>", "API servers' request timeout (default: 15)", wholeNumber)
    .option("--api-server <file>", "kube-apiserver to run (default: the newest one)")
    .option("--no-automatic-reload", "API servers read their encryption configuration only when they start")
    .argument("[flags...]", "kube-apiserver flags, after --")
    .action(async (apiServerArguments: readonly string[], flags: StartFlags) => {
      const controlPlane = await startControlPlane({
        stateDirectory: flags.state,
        report,
        ...(flags.hosts !== undefined && { hosts: flags.hosts }),
        ...(flags.ports && { apiServerPorts: flags.ports }),
        ...(flags.etcdPort !== undefined && { etcdPort: flags.etcdPort }),
        ...(flags.stagger !== undefined && { staggerSeconds: flags.stagger }),
        ...(flags.requestTimeout !== undefined && { requestTimeoutSeconds: flags.requestTimeout }),
        ...(flags.apiServer !== undefined && { apiServerBinary: flags.apiServer }),
        ...(!flags.automaticReload && { automaticReload: false }),
        ...(apiServerArguments.length > 0 && { apiServerArguments }),
        signal: abortOnInterrupt(),
      });
      if (flags.json) print(JSON.stringify(controlPlane, undefined, 2));
      else print(formatStatus(await statusControlPlane(flags.state)));
    });

  command("status", "say what runs and whether it is ready").action(
    async (flags: { state: string; json?: boolean }) => {
      const status = await statusControlPlane(flags.state);
      print(flags.json ? JSON.stringify(status, undefined, 2) : formatStatus(status));
      const ready = status.state === "running" && status.servers.every((server) => server.ready);
      if (!ready) process.exitCode = 1;
    },
  );

  command("stop", "stop all its processes; data stays").action(async (flags: { state: string }) => {
    await stopControlPlane(flags.state, { report });
  });

  command("clean", "stop it and remove the state directory with all data").action(async (flags: { state: string }) => {
    await cleanControlPlane(flags.state, { report });
  });
  return root;
}

function abortOnInterrupt(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => controller.abort(new Error(`interrupted by ${signal}`)));
  }
  return controller.signal;
}

program()
  .parseAsync()
  .catch((thrown: unknown) => {
    report(`error: ${describeError(thrown)}`);
    process.exitCode = 1;
  });
