/**
 * `kms-etcd status --metrics FILE`: what was seen, in Prometheus' text form, for a textfile collector. Only the engine can say what is
 * stored under which key; API servers and plugins tell the rest themselves.
 */
import { randomBytes } from "node:crypto";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Gauge, Registry } from "prom-client";
import { KmsEtcdError } from "../../core/errors";
import type { ClusterStatus } from "./cluster-status";

/** Replaces the file as a whole: a collector may read it at any moment. */
export async function writeStatusMetrics(file: string, status: ClusterStatus): Promise<void> {
  const path = resolve(file);
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, await statusMetrics(status), { flag: "wx" });
    // Counts and hashes; the collector runs as another user.
    await chmod(temporary, 0o644);
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    const code = (thrown as NodeJS.ErrnoException).code ?? "unknown";
    throw new KmsEtcdError("permission-denied", `${path} can't be written (${code})`, {
      remedy: "name a file in a directory that this user can write to",
      cause: thrown,
    });
  }
}

export async function statusMetrics(status: ClusterStatus): Promise<string> {
  const registers = [new Registry()] as const;
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge({ name: `kms_etcd_${name}`, help, labelNames, registers: [...registers] });

  const server = gauge("server_up", "1 if the API server answers and is ready", ["server", "version"]);
  const loaded = gauge("server_loaded_config_info", "Always 1: what the API server has loaded", ["server", "hash"]);
  const plugin = gauge("server_plugin_usable", "1 if the plugin answers and its key is usable", ["server", "plugin"]);
  for (const { name, version, problem, loadedHash, plugins } of status.servers) {
    server.set({ server: name, version }, problem === undefined ? 1 : 0);
    if (loadedHash !== undefined) loaded.set({ server: name, hash: loadedHash }, 1);
    for (const { name: of, problem: why } of plugins)
      plugin.set({ server: name, plugin: of }, why === undefined ? 1 : 0);
  }
  gauge("unlisted_servers", "Live API servers that nobody listed", []).set(status.unlistedServers.length);
  gauge("pending", "Reasons why the cluster is not in order and a run would put it in order", []).set(
    status.pending.length,
  );
  gauge("trouble", "Reasons that have to be mended first", []).set(status.trouble.length);

  const { stored } = status;
  if (!("problem" in stored)) {
    const objects = gauge("stored_objects", "Stored objects by key; stale: no server writes with it", [
      ...["resource", "provider", "key_id", "state"],
    ]);
    const unknown = gauge("stored_unknown", "Stored values that could not be understood", ["resource"]);
    for (const { resource, keys, unknown: count } of stored.resources) {
      unknown.set({ resource }, count);
      for (const { provider, keyId = "", objects: amount, writtenBy } of keys) {
        objects.set({ resource, provider, key_id: keyId, state: writtenBy.length === 0 ? "stale" : "current" }, amount);
      }
    }
    gauge("stored_measured_timestamp_seconds", "When the stored objects were counted", []).set(
      Date.parse(stored.measuredAt) / 1_000,
    );
  }
  return registers[0].metrics();
}
