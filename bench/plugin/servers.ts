/** The servers under measurement, each a process of its own, and the fake clouds behind two of them. */
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { build } from "esbuild";
import { formatLocalKeyFile } from "../../core/local-key-file";
import { pluginEnvironment, pluginNodeOptions } from "../../core/plugin-node-options";
import { bundleEntry } from "../../plugin-server/image/bundle";
import { bundlePlugin } from "../../plugin-server/image/bundle-plugin";
import { interpreter } from "../../plugin-server/image/root-filesystem";
import { socketAnswers } from "../../test/support/socket-answers";
import { cpuMicroseconds } from "../process-cost";
import type { CloudConnections, CloudReady } from "./cloud-process";

export interface RunningServer {
  readonly pid: number;
  readonly socket: string;
  /** From the start of the process to its first accepted connection. */
  readonly readyMs: number;
  /** CPU until then, which does not depend on what else the machine does. */
  readonly readyCpuMs: number;
  /** Calls that it has logged as failed. */
  failures(): readonly string[];
  stop(): Promise<void>;
}

export interface Cloud extends CloudReady {
  connections(): Promise<number>;
  stop(): Promise<void>;
}

export interface Workshop {
  bare(): Promise<RunningServer>;
  /** @param flags without the socket's. */
  plugin(
    name: string,
    flags: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ): Promise<RunningServer>;
  /** The upstream plugin for the same cloud, from a binary of yours, on the same fake. */
  peer(kind: "azure" | "aws", binary: string, cloud: Cloud): Promise<RunningServer>;
  readonly localFlags: readonly string[];
  cloud(kind: "azure" | "aws", awayMs: number): Promise<Cloud>;
  stopAll(): Promise<void>;
}

const project = join(__dirname, "..", "..");

export async function openWorkshop(directory: string, node: string): Promise<Workshop> {
  const running = new Set<ChildProcess>();
  const { files } = await bundlePlugin(project, { version: "v0.0.0", commit: "", date: "" }, interpreter);
  for (const { path, content } of files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  const bareFile = join(directory, "bare.js");
  await build({
    entryPoints: [join(__dirname, "bare-server.ts")],
    bundle: true,
    platform: "node",
    outfile: bareFile,
    logLevel: "error",
  });
  const keyFile = join(directory, "key");
  await writeFile(keyFile, formatLocalKeyFile(Buffer.alloc(32, 7)), { mode: 0o600 });
  // As the image starts it; the bare server gets the same.
  const nodeCommand = [node, ...pluginNodeOptions] as const;

  async function stop(child: ChildProcess): Promise<void> {
    running.delete(child);
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }

  async function start(
    socket: string,
    [program, ...args]: readonly [string, ...string[]],
    environment: Readonly<Record<string, string>>,
  ): Promise<RunningServer> {
    const { PATH = "" } = process.env;
    const began = performance.now();
    const child = spawn(program, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH, ...pluginEnvironment, ...environment },
    });
    running.add(child);
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
    });
    while (!(await socketAnswers(socket))) {
      if (child.exitCode !== null) throw new Error(`${program} ${args.join(" ")} has ended: ${log}`);
      await delay(1);
    }
    const readyMs = performance.now() - began;
    const pid = child.pid ?? 0;
    return {
      pid,
      socket,
      readyMs,
      readyCpuMs: cpuMicroseconds(pid) / 1_000,
      // Ours, the Go plugin's for Azure, and the one's for AWS.
      failures: () => log.split("\n").filter((entry) => /a call failed|GRPC request error|request to kms/.test(entry)),
      stop: () => stop(child),
    };
  }

  return {
    localFlags: ["local", `--key-file=${keyFile}`],
    bare: () => {
      const socket = join(directory, "bare.sock");
      return start(socket, [...nodeCommand, bareFile, socket], {});
    },
    plugin: (name, flags, environment = {}) => {
      const socket = join(directory, `${name}.sock`);
      const listen = flags[0] === "aws" ? `--listen=${socket}` : `--listen-addr=unix://${socket}`;
      const health = flags[0] === "aws" ? "--health-port=none" : "--healthz-port=none";
      return start(socket, [...nodeCommand, join(directory, bundleEntry), ...flags, listen, health], environment);
    },
    peer: async (kind, binary, cloud) => {
      const socket = join(directory, `peer-${kind}.sock`);
      const own =
        kind === "aws"
          ? [`--listen=${socket}`, `--health-port=127.0.0.1:${await freePort()}`]
          : [
              `--listen-addr=unix://${socket}`,
              `--healthz-port=${await freePort()}`,
              `--metrics-addr=${await freePort()}`,
            ];
      return start(socket, [binary, ...cloud.peerFlags, ...own], cloud.peerEnvironment);
    },
    cloud: async (kind, awayMs) => {
      const child = fork(join(__dirname, "cloud-process.ts"), [kind, String(awayMs)], {
        execArgv: ["-r", "ts-node/register/transpile-only"],
      });
      running.add(child);
      const [ready] = (await once(child, "message")) as [CloudReady];
      return {
        ...ready,
        connections: async () => {
          child.send("connections");
          const [{ opened }] = (await once(child, "message")) as [CloudConnections];
          return opened;
        },
        stop: () => stop(child),
      };
    },
    stopAll: async () => {
      for (const child of running) await stop(child);
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
