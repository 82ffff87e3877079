/** What /metrics says: our own names for every key provider, and the upstream plugins' names where dashboards use them. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type ErrorCode, KmsEtcdError } from "../../core/errors";
import type { PluginConfig } from "../config/plugin-config";
import type { CallObserver } from "../grpc/served-key";
import type { ServedHealth } from "../health/served-health";
import { awsMetrics, azureMetrics } from "./upstream-metrics";

/** Who hears of one key's calls and probes. */
export interface KeyObserver extends CallObserver {
  probed(outcome: "ok" | ErrorCode): void;
  expires(at: Date | "never"): void;
}

export interface PluginMetrics {
  readonly contentType: string;
  /** @param key its id is asked for each time: a vault may spell it otherwise than the flags. */
  observe(key: { readonly keyId: string }, health: () => ReturnType<ServedHealth["state"]>): KeyObserver;
  text(): Promise<string>;
}

/** From a local key's tens of microseconds to the limit of a call. */
const buckets = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function createPluginMetrics(kind: PluginConfig["kind"], version: string): PluginMetrics {
  const registry = new Registry();
  const registers = [registry];
  const calls = new Histogram({
    name: "kms_etcd_request_duration_seconds",
    help: "KMS calls by API servers",
    labelNames: ["key_id", "kms", "method", "code"],
    buckets,
    registers,
  });
  const probes = new Counter({
    name: "kms_etcd_key_probes_total",
    help: "Background probes of the key, by outcome",
    labelNames: ["key_id", "outcome"],
    registers,
  });
  const healths = new Map<{ readonly keyId: string }, () => ReturnType<ServedHealth["state"]>>();
  new Gauge({
    name: "kms_etcd_key_usable",
    help: "1 if the last probe could use the key, 0 if not; absent before the first probe has ended",
    labelNames: ["key_id"],
    registers,
    collect() {
      for (const [{ keyId: key_id }, health] of healths) {
        const state = health();
        if (state !== "unknown") this.set({ key_id }, state === "usable" ? 1 : 0);
      }
    },
  });
  const expiries = new Gauge({
    name: "kms_etcd_key_expiry_timestamp_seconds",
    help: "When the key stops encrypting; +Inf if never; absent while that is not known",
    labelNames: ["key_id"],
    registers,
  });
  new Gauge({ name: "kms_etcd_build_info", help: "Always 1", labelNames: ["version"], registers }).set({ version }, 1);
  const upstream = kind === "azure" ? azureMetrics(registry) : kind === "aws" ? awsMetrics(registry) : undefined;
  let withProcess = false;

  return {
    contentType: registry.contentType,
    observe: (key, health) => {
      healths.set(key, health);
      return {
        ended: (kms, method, code, seconds, thrown) => {
          calls.observe({ key_id: key.keyId, kms, method, code }, seconds);
          upstream?.(key.keyId, kms, method, seconds, thrown === undefined ? undefined : codeOf(thrown));
        },
        probed: (outcome) => probes.inc({ key_id: key.keyId, outcome }),
        expires: (at) =>
          expiries.set({ key_id: key.keyId }, at === "never" ? Number.POSITIVE_INFINITY : at.getTime() / 1_000),
      };
    },
    text: () => {
      // From the first scrape on: its event-loop and GC observers cost time at start that nobody may ever ask for.
      if (!withProcess) collectDefaultMetrics({ register: registry });
      withProcess = true;
      return registry.metrics();
    },
  };
}

function codeOf(thrown: unknown): ErrorCode {
  return thrown instanceof KmsEtcdError ? thrown.code : "internal";
}
