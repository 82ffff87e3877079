/** A real control plane in a directory of its own, with keys, for the end-to-end tests of the engine. */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Pool } from "undici";
import { statusControlPlane } from "../../../control-plane/control-plane-status";
import { runningPods } from "../../../control-plane/running-pods";
import { type StartOptions, startControlPlane } from "../../../control-plane/start-control-plane";
import { stateLayout } from "../../../control-plane/state-layout";
import { cleanControlPlane } from "../../../control-plane/stop-control-plane";
import type { KeyReference } from "../../../core/key-reference";
import type { LocalControlPlane, LocalControlPlaneHost } from "../../../core/local-control-plane";
import { formatLocalKeyFile, localKeyId } from "../../../core/local-key-file";
import { type PluginInstance, pluginInstance } from "../../../core/plugin-instance";
import { providerName } from "../../../core/provider-name";
import { RotationStage } from "../../../core/rotation-stage";
import type { FleetHost } from "../../../rotation/adapters/hosts/fleet-host";
import { createHostsFleet } from "../../../rotation/adapters/hosts/hosts-fleet";
import { createLocalStoredObjects, localFleetHosts } from "../../../rotation/adapters/hosts/local-fleet";
import { defaultLimits, type Goal } from "../../../rotation/goal";
import { type RotationOutcome, runRotation } from "../../../rotation/run";
import type { RotationEvent } from "../../../rotation/run-events";
import { storedProviders } from "./stored-providers";

export interface RealCluster {
  readonly controlPlane: LocalControlPlane;
  readonly directory: string;
  /** Lines of what the engine said, for the message of a failed assertion. */
  readonly log: string[];
  /** A key in a file of its own, made when it is first asked for, unless `useKey` has said another one. */
  keyVersion(version: number): PluginInstance;
  useKey(version: number, key: KeyReference): void;
  goal(version: number | "identity", more?: Partial<Goal>): Goal;
  rotate(version: number | "identity", more?: Partial<Goal>, run?: RunChoices): Promise<RotationOutcome>;
  /** s0, s1, ... with contents of their own. */
  createSecrets(count: number): Promise<void>;
  /** How many there are. */
  secrets(): number;
  /**
   * Every stored Secret's provider, with how many have it: read from etcd by the test's own hand. Of other resources with
   * their directory in etcd (`configmaps`, `example.com/pandas`).
   */
  storedProviders(directory?: string): Promise<Record<string, number>>;
  providerOf(version: number, slot?: string): string;
  /** Of the pod whose name begins so. */
  pid(host: string, pod: string): number | undefined;
  /** SIGKILL to a pod's process. Its host starts it again, after a back-off. */
  kill(host: string, pod: string): void;
  request(
    host: number,
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<{ status: number; text: string }>;
  close(): Promise<void>;
}

export interface RunChoices {
  readonly maxActions?: number;
  readonly proof?: "etcd" | "api";
  /** How many of the hosts the engine is told of. @default all */
  readonly hosts?: number;
  readonly onEvent?: (event: RotationEvent) => void;
  readonly signal?: AbortSignal;
  /** How the engine gets to a host, in the place of the direct way. */
  readonly reach?: (host: FleetHost) => FleetHost;
}

export async function realCluster(options: Partial<StartOptions> = {}): Promise<RealCluster> {
  // Under the system's temporary directory: a unix socket's path has little room.
  const directory = mkdtempSync(join(tmpdir(), "ke-"));
  const state = join(directory, "cp");
  const controlPlane = await startControlPlane({ stateDirectory: state, unsafeNoFsync: true, ...options });
  const { supervisorPid } = await statusControlPlane(state);
  if (supervisorPid !== undefined) runningSupervisors.add(supervisorPid);
  const keys = join(directory, "keys");
  mkdirSync(keys, { mode: 0o700 });
  const plugins = new Map<number, PluginInstance>();
  const log: string[] = [];
  let secrets = 0;
  const pools = controlPlane.hosts.map(
    (host) => new Pool(host.apiServerUrl, { connections: 8, connect: tls(host.client) }),
  );

  function keyVersion(version: number): PluginInstance {
    const known = plugins.get(version);
    if (known !== undefined) return known;
    const key = randomBytes(32);
    const file = join(keys, `v${version}.key`);
    writeFileSync(file, formatLocalKeyFile(key), { mode: 0o600 });
    const plugin = pluginInstance({ kind: "local", file, keyId: localKeyId(key) });
    plugins.set(version, plugin);
    return plugin;
  }

  function goal(version: number | "identity", more: Partial<Goal> = {}): Goal {
    return {
      resources: ["secrets"],
      writer: version === "identity" ? "identity" : keyVersion(version),
      declared: [...new Set([1, 2, 3, ...plugins.keys()])].map(keyVersion),
      allowPlaintextReads: false,
      advanceTo: RotationStage.Prune,
      servers: controlPlane.hosts.map((host) => host.name),
      limits: defaultLimits,
      ...more,
    };
  }

  const pid = (host: string, pod: string) =>
    runningPods(stateLayout(state), host).find((running) => running.name.startsWith(pod))?.pid;

  async function request(host: number, method: string, path: string, body?: unknown, contentType = "application/json") {
    const answer = await (pools[host] as Pool).request({
      method: method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": contentType } }),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return {
    controlPlane,
    directory,
    log,
    keyVersion,
    useKey: (version, key) => void plugins.set(version, pluginInstance(key)),
    goal,
    request,
    providerOf: (version, slot = "secrets") => `k8s:enc:kms:v2:${providerName("v2", keyVersion(version).key, slot)}`,
    async rotate(version, more = {}, run = {}) {
      const seen = { ...controlPlane, hosts: controlPlane.hosts.slice(0, run.hosts ?? controlPlane.hosts.length) };
      const hosts = localFleetHosts(seen).map(run.reach ?? ((host) => host));
      const fleet = createHostsFleet({ hosts });
      const addressed = hosts.map(({ apiServer: { url: apiServerUrl } }, index) => ({
        ...(seen.hosts[index] as LocalControlPlaneHost),
        apiServerUrl,
      }));
      const stored = createLocalStoredObjects({ ...seen, hosts: addressed }, fleet, run.proof ?? "etcd");
      const began = Date.now();
      const say = (event: RotationEvent) => {
        run.onEvent?.(event);
        if (event.kind !== "progress")
          log.push(`${Math.round((event.at - began) / 100) / 10} s ${event.stage} ${event.kind}: ${event.message}`);
      };
      try {
        return await runRotation({
          goal: goal(version, more),
          fleet,
          stored,
          onEvent: say,
          signal: run.signal ?? new AbortController().signal,
          ...(run.maxActions === undefined ? {} : { maxActions: run.maxActions }),
        });
      } finally {
        await Promise.all([stored.close(), fleet.close()]);
      }
    },
    async createSecrets(count) {
      for (let index = 0; index < count; index += 1) {
        const body = {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: `s${index}` },
          data: { value: Buffer.from(`plaintext-${index}`).toString("base64") },
        };
        const { status, text } = await request(
          index % pools.length,
          "POST",
          "/api/v1/namespaces/default/secrets",
          body,
        );
        if (status !== 201) throw new Error(`creating s${index}: ${status} ${text}`);
      }
      secrets = count;
    },
    secrets: () => secrets,
    storedProviders: (directory) => storedProviders(controlPlane.etcd, directory),
    pid,
    kill: (host, pod) => {
      const found = pid(host, pod);
      if (found === undefined) throw new Error(`${host} runs no ${pod}`);
      process.kill(found, "SIGKILL");
    },
    async close() {
      await Promise.all(pools.map((pool) => pool.destroy()));
      await cleanControlPlane(state);
      if (supervisorPid !== undefined) runningSupervisors.delete(supervisorPid);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Control planes are processes of their own: they must not outlive a test run that is ended from outside. */
const runningSupervisors = new Set<number>();
process.once("SIGTERM", () => process.exit(143));
process.once("SIGINT", () => process.exit(130));
process.on("exit", () => {
  for (const pid of runningSupervisors) {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      // it has ended by itself
    }
  }
});

function tls(files: { caFile: string; certFile: string; keyFile: string }) {
  return { ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}
