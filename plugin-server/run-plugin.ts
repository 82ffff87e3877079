/** A running plugin: its keys, their sockets, health and metrics, started in an order that leaves nothing behind on failure. */
import { describeError } from "../core/errors";
import type { OperationConfig } from "./config/operation-config";
import type { PluginConfig } from "./config/plugin-config";
import { createCallsUnderWay } from "./grpc/calls-under-way";
import { type KmsServer, startKmsServer } from "./grpc/kms-server";
import type { ServedKey } from "./grpc/served-key";
import { type Clock, systemClock } from "./health/clock";
import { createKeyExpiry, type KeyExpiry } from "./health/key-expiry";
import { createServedHealth } from "./health/served-health";
import { healthRoutes } from "./http/health-routes";
import { type HttpServer, type Routes, startHttpServer } from "./http/http-server";
import type { KeyProvider } from "./key-provider";
import type { Log } from "./log";
import { createPluginMetrics, type KeyObserver, type PluginMetrics } from "./metrics/plugin-metrics";

export interface RunningPlugin {
  readonly servers: readonly KmsServer[];
  readonly health: HttpServer | undefined;
  /** Undefined when metrics are served beside health, or nowhere. */
  readonly metrics: HttpServer | undefined;
  /** Takes no new call, lets those under way end, and frees everything. Safe to repeat. */
  stop(): Promise<void>;
}

const runtimeNames: Readonly<Record<PluginConfig["kind"], string>> = {
  azure: "Microsoft AzureKMS",
  aws: "AWSKMS",
  local: "kms-etcd local key",
};

const usable = { v1: "the key is usable with KMS v1 too", v2: "the key is usable" } as const;
const unusable = {
  v1: "the key can't be used with KMS v1: health fails until it can",
  v2: "the key can't be used: Status fails until it can",
} as const;

/** @param providers one for each of `config.operation.sockets`, in their order. */
export async function runPlugin(
  config: PluginConfig,
  providers: readonly KeyProvider[],
  { log, version, clock = systemClock }: { readonly log: Log; readonly version: string; readonly clock?: Clock },
): Promise<RunningPlugin> {
  const { operation } = config;
  const undo: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let action = undo.pop(); action !== undefined; action = undo.pop()) await action();
  };
  try {
    undo.push(() => all(providers.map((provider) => provider.close())));
    await Promise.all(providers.map((provider) => provider.open(AbortSignal.timeout(operation.callTimeoutMs))));
    const metrics = createPluginMetrics(config.kind, version);
    const keys = providers.map((provider) => serveKey(provider, config, { log, metrics, version, clock }));
    // Only for the metrics: where nobody reads them nobody asks.
    const expiries = operation.metrics === "none" ? [] : keys.map((key) => watchExpiry(key, config, clock));
    undo.push(async () => [...keys.map(({ health }) => health), ...expiries].forEach((watch) => watch.stop()));
    const servers: KmsServer[] = [];
    const http = await startHttp(
      operation,
      metrics,
      healthRoutes(operation, keys, () => servers),
      log,
    );
    undo.push(() => all([http.health, http.metrics].flatMap((server) => server?.close() ?? [])));
    undo.push(() => all(servers.map((server) => server.stop(operation.drainTimeoutMs))));
    for (const [index, key] of keys.entries()) {
      const server = await startKmsServer(operation.sockets[index] ?? "", key);
      servers.push(server);
      log.always("info", "serving KMS v2 and v1", {
        socket: server.socket,
        key_id: key.provider.keyId,
        ...key.provider.description,
      });
    }
    // Not before the sockets listen: the first probe loads the cloud's SDK, and a start must not wait for that.
    for (const watch of [...keys.map(({ health }) => health), ...expiries]) watch.start();
    return { servers, ...http, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function all(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.all(promises);
}

function serveKey(
  provider: KeyProvider,
  { kind, operation }: PluginConfig,
  {
    log,
    metrics,
    version,
    clock,
  }: { readonly log: Log; readonly metrics: PluginMetrics; readonly version: string; readonly clock: Clock },
): ServedKey & { readonly observer: KeyObserver } {
  const observer = metrics.observe(provider, () => health.state());
  const health = createServedHealth(
    provider,
    (kms) => ({
      intervalMs: operation.probeIntervalMs,
      probeTimeoutMs: operation.callTimeoutMs,
      onProbe: (outcome) => observer.probed(outcome),
      onChange: (trouble) => {
        if (trouble === undefined) log.always("info", usable[kms], { key_id: provider.keyId });
        else
          log.always("error", unusable[kms], {
            key_id: provider.keyId,
            code: trouble.code,
            error: describeError(trouble),
          });
      },
    }),
    clock,
  );
  return {
    provider,
    health,
    calls: createCallsUnderWay(operation.callTimeoutMs),
    observer,
    log,
    runtimeName: runtimeNames[kind],
    runtimeVersion: version,
  };
}

function watchExpiry(
  { provider, log, observer }: ServedKey & { readonly observer: KeyObserver },
  { operation }: PluginConfig,
  clock: Clock,
): KeyExpiry {
  return createKeyExpiry(
    provider,
    { timeoutMs: operation.callTimeoutMs, log, onExpiry: (at) => observer.expires(at) },
    clock,
  );
}

async function startHttp(
  operation: OperationConfig,
  metrics: PluginMetrics,
  health: Routes,
  log: Log,
): Promise<{ readonly health: HttpServer | undefined; readonly metrics: HttpServer | undefined }> {
  const metricsRoute: Routes = {
    "/metrics": async () => ({ status: 200, body: await metrics.text(), contentType: metrics.contentType }),
  };
  const own = typeof operation.metrics === "string" ? undefined : operation.metrics;
  const metricsServer = own && (await startHttpServer(own, "metrics-addr", metricsRoute));
  const besideHealth = operation.metrics === "beside-health" || (own !== undefined && metricsServer === undefined);
  try {
    const routes = besideHealth ? { ...health, ...metricsRoute } : health;
    const healthServer = operation.health && (await startHttpServer(operation.health, "healthz-port", routes));
    if (operation.health && healthServer === undefined) {
      log.always("warn", "the default health port is taken: health is not served, give another port", {
        port: operation.health.port,
      });
    }
    if (own !== undefined && metricsServer === undefined) {
      const instead =
        healthServer === undefined ? "metrics are not served, give another port" : "metrics are served beside health";
      log.always("warn", `the default metrics port is taken: ${instead}`, { port: own.port });
    }
    return { health: healthServer, metrics: metricsServer };
  } catch (error) {
    await metricsServer?.close();
    throw error;
  }
}
