/** A backup of a real cluster's etcd, taken by the engine, and its restore by etcd's own program. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { stateLayout } from "../../../control-plane/state-layout";
import { createHostsFleet } from "../../../rotation/adapters/hosts/hosts-fleet";
import { createLocalStoredObjects, localFleetHosts } from "../../../rotation/adapters/hosts/local-fleet";
import { findTool } from "../../../tools/find-tool";
import { eventually } from "../../e2e/support/eventually";
import type { RealCluster } from "../../e2e/support/real-cluster";

/** The providers that the backup needs are as the engine records them beside it. */
export interface EtcdBackup {
  readonly file: string;
  /** `v2/NAME`. */
  readonly needs: readonly string[];
}

export async function backUpEtcd(cluster: RealCluster): Promise<EtcdBackup> {
  const fleet = createHostsFleet({ hosts: localFleetHosts(cluster.controlPlane) });
  const stored = createLocalStoredObjects(cluster.controlPlane, fleet, "etcd");
  try {
    const request = { directory: join(cluster.directory, "snapshots"), writers: [] };
    const taken = await stored.snapshot?.(request, () => undefined, new AbortController().signal);
    assert.ok(taken);
    return {
      file: join(taken.directory, taken.record.snapshot),
      needs: taken.record.needs.map(({ provider }) => provider),
    };
  } finally {
    await Promise.all([stored.close(), fleet.close()]);
  }
}

/** Stops etcd and the API servers, which must not keep what they have in their caches; restores; starts all again. */
export async function restoreEtcd(cluster: RealCluster, backup: string, more: readonly string[] = []): Promise<void> {
  const layout = stateLayout(cluster.controlPlane.stateDirectory);
  const manifest = join(layout.host("etcd").manifestDirectory, "etcd.yaml");
  const files = [
    manifest,
    ...cluster.controlPlane.hosts.map((host) => join(host.manifestDirectory, host.apiServerManifest)),
  ];
  const peers = /--initial-cluster=(etcd=(\S+?))"?$/m.exec(readFileSync(manifest, "utf8"));
  const away = files.map((_, index) => join(cluster.directory, `away-${index}.yaml`));
  for (const [index, file] of files.entries()) renameSync(file, away[index] ?? "");
  const running = () =>
    cluster.pid("etcd", "etcd") !== undefined ||
    cluster.controlPlane.hosts.some(({ name }) => cluster.pid(name, "kube-apiserver") !== undefined);
  await eventually("etcd and the API servers have ended", 60, () => !running());
  rmSync(layout.etcdDataDirectory, { recursive: true });
  await promisify(execFile)((await findTool("etcdutl")).path, [
    ...["snapshot", "restore", backup, "--name=etcd", `--data-dir=${layout.etcdDataDirectory}`],
    ...[`--initial-cluster=${peers?.[1] ?? ""}`, `--initial-advertise-peer-urls=${peers?.[2] ?? ""}`],
    ...more,
  ]);
  for (const [index, file] of files.entries()) renameSync(away[index] ?? "", file);
}
