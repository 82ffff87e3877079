/** A plugin in this process on sockets of its own in a fresh directory. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OperationConfig } from "../../../plugin-server/config/operation-config";
import type { PluginConfig } from "../../../plugin-server/config/plugin-config";
import type { KeyProvider } from "../../../plugin-server/key-provider";
import { createLog } from "../../../plugin-server/log";
import { type RunningPlugin, runPlugin } from "../../../plugin-server/run-plugin";
import { type KmsClient, kmsClient } from "./kms-client";

export interface Served {
  readonly plugin: RunningPlugin;
  /** One for each key. */
  readonly clients: readonly KmsClient[];
  readonly sockets: readonly string[];
  readonly log: readonly string[];
}

export interface ServeOptions extends Partial<OperationConfig> {
  readonly kind?: PluginConfig["kind"];
}

/** Serves until the current test has ended. */
export type Serve = (providers: readonly KeyProvider[], options?: ServeOptions) => Promise<Served>;

/** Call it inside a `describe`: what a test starts is stopped after it. */
export function useServe(): Serve {
  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const action of undo.splice(0).reverse()) await action();
  });
  return async (providers, { kind = "local", ...changes } = {}) => {
    const directory = await mkdtemp(join(tmpdir(), "kms-etcd-plugin-"));
    undo.push(() => rm(directory, { recursive: true }));
    const sockets = providers.map((_, index) => join(directory, `${index}.sock`));
    const operation: OperationConfig = {
      sockets,
      health: undefined,
      healthzPath: "/healthz",
      livezPath: "/livez",
      healthzTimeoutMs: 1_000,
      metrics: "beside-health",
      log: { format: "json", level: "debug" },
      callTimeoutMs: 2_500,
      drainTimeoutMs: 1_000,
      probeIntervalMs: 30_000,
      ...changes,
    };
    const log: string[] = [];
    const config = { kind, operation } as PluginConfig;
    const plugin = await runPlugin(config, providers, {
      log: createLog(operation.log, { write: (line) => log.push(line) }),
      version: "v1.2.3",
    });
    undo.push(() => plugin.stop());
    const clients = sockets.map((socket) => kmsClient(socket));
    undo.push(async () => clients.forEach((client) => client.close()));
    return { plugin, clients, sockets, log };
  };
}
