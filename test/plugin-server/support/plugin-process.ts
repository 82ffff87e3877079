/** The plugin as a process of its own, from the same bundle that the image has. */
import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { formatLocalKeyFile } from "../../../core/local-key-file";
import { pluginNodeOptions } from "../../../core/plugin-node-options";
import { bundleEntry } from "../../../plugin-server/image/bundle";
import { bundlePlugin } from "../../../plugin-server/image/bundle-plugin";
import { socketAnswers } from "../../support/socket-answers";

const project = join(__dirname, "..", "..", "..");

export interface PluginProcess {
  readonly pid: number;
  /** Everything that it has printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string };
  kill(signal: NodeJS.Signals): void;
  /** Closes our end of the pipe that it writes its log to. */
  closeLog(): void;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when the socket takes connections. Rejects when the process ends first. */
  served(socket: string): Promise<void>;
}

export interface PluginWorkshop {
  readonly directory: string;
  readonly keyFile: string;
  /** The server's file. */
  readonly entry: string;
  start(...args: readonly string[]): PluginProcess;
  /** Runs it to its end. */
  run(
    ...args: readonly string[]
  ): Promise<{ readonly code: number | NodeJS.Signals; readonly stdout: string; readonly stderr: string }>;
}

/** Call it inside a `describe`: what its tests start is ended after each of them or after all, by process id. */
export function useWorkshop({ endAfterEach = true } = {}): PluginWorkshop {
  let directory = "";
  let entry = "";
  const running = new Set<ChildProcess>();
  before(async function () {
    this.timeout(60_000);
    directory = await mkdtemp(join(tmpdir(), "kms-etcd-process-"));
    const { files } = await bundlePlugin(project, { version: "v9.8.7", commit: "abc", date: "" }, "/usr/bin/env node");
    for (const { path, content } of files) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content);
    }
    entry = join(directory, bundleEntry);
    await writeFile(join(directory, "key"), formatLocalKeyFile(Buffer.alloc(32, 9)), { mode: 0o600 });
  });
  const endAll = async () => {
    for (const child of running) {
      child.kill("SIGKILL");
      await once(child, "close");
    }
  };
  afterEach(async () => {
    if (endAfterEach) await endAll();
  });
  after(async () => {
    await endAll();
    await rm(directory, { recursive: true, force: true });
  });

  function start(...args: readonly string[]): PluginProcess {
    const child = spawn(process.execPath, [...pluginNodeOptions, entry, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child);
    const plugin = watchPlugin(child);
    void plugin.ended.then(() => running.delete(child));
    return plugin;
  }

  return {
    get directory() {
      return directory;
    },
    get entry() {
      return entry;
    },
    get keyFile() {
      return join(directory, "key");
    },
    start,
    run: async (...args) => {
      const plugin = start(...args);
      const code = await plugin.ended;
      return { code, ...plugin.output };
    },
  };
}

/** @param kill how a signal gets to it; by default it is the child itself. */
export function watchPlugin(
  child: ChildProcessByStdio<null, Readable, Readable>,
  kill: PluginProcess["kill"] = (signal) => child.kill(signal),
): PluginProcess {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  let isEnded = false;
  const ended = once(child, "close").then(([code, signal]: unknown[]) => {
    isEnded = true;
    return (code ?? signal) as number | NodeJS.Signals;
  });
  return {
    pid: child.pid ?? 0,
    output,
    ended,
    kill,
    closeLog: () => child.stderr.destroy(),
    served: async (socket) => {
      while (!(await socketAnswers(socket))) {
        if (isEnded) throw new Error(`the plugin has ended: ${output.stderr}`);
        await delay(5);
      }
    },
  };
}
