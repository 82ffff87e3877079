/** A cluster of kubelets with Secrets in it, keys in a Key Vault, and the engine: rotations of it under readers, writers and an observer. */
import assert from "node:assert/strict";
import { cpSync, writeFileSync } from "node:fs";
import { startTraffic, type TrafficOptions, type TrafficReport } from "../../../../control-plane/client-traffic";
import { type PluginInstance, pluginInstance } from "../../../../core/plugin-instance";
import { providerName } from "../../../../core/provider-name";
import { RotationStage } from "../../../../core/rotation-stage";
import type { SelfManagedPlugin } from "../../../../core/self-managed-cluster";
import { openSelfManagedCluster } from "../../../../rotation/adapters/hosts/open-self-managed-cluster";
import { closeCluster } from "../../../../rotation/cluster";
import { defaultLimits, type Goal } from "../../../../rotation/goal";
import { type RotationOutcome, runRotation } from "../../../../rotation/run";
import type { RotationEvent } from "../../../../rotation/run-events";
import { observeCluster } from "../../../e2e/support/cluster-observer";
import { isLoss } from "../../../e2e/support/disturbed-rotation";
import { storedProviders } from "../../../e2e/support/stored-providers";
import { type CloudKeys, cloudKeys } from "../cloud-keys";
import { type KubeletCluster, kubeletCluster } from "./kubelet-cluster";
import { type Absence, recordReadiness } from "./readiness-record";

export interface AzureKubelets extends Omit<KubeletCluster, "close"> {
  readonly clouds: CloudKeys;
  /** What was said while the cluster came up and by the engine. */
  readonly log: readonly string[];
  plugin(version: number): PluginInstance;
  /** How the plugins find the cloud that the test plays; their files are at the same path on every host. */
  readonly environment: Readonly<Record<string, string>>;
  /** As the values in etcd begin. */
  provider(writer: Writer): string;
  /** Of all Secrets, by the providers in etcd. */
  stored(): Promise<Record<string, number>>;
  /** As kubectl replace does. */
  rewriteSecrets(): Promise<void>;
  rotate(writer: Writer, options?: RotateOptions): Promise<RotationOutcome>;
  /** The work under clients and an observer, after which no Secret is lost and every one is there at every host. */
  underClients<T>(work: () => Promise<T>, traffic?: TrafficOptions): Promise<Seen<T>>;
  close(): Promise<void>;
}

export type Writer = number | "identity";

export interface RotateOptions {
  readonly goal?: Partial<Goal>;
  readonly plugin?: Partial<SelfManagedPlugin>;
  readonly onEvent?: (event: RotationEvent) => void;
}

export interface Seen<T> {
  readonly result: T;
  readonly traffic: TrafficReport;
  readonly absences: readonly Absence[];
  /** What the engine said, in lines. */
  readonly said: string;
  readonly seconds: number;
}

const authorityFile = "/etc/kubernetes/test-authority.pem";

export async function azureKubelets(options: {
  readonly hosts: number;
  readonly secrets: number;
}): Promise<AzureKubelets> {
  const clouds = await cloudKeys();
  const closing: (() => Promise<unknown>)[] = [() => clouds.close()];
  const close = async () => {
    for (const each of closing.splice(0).reverse()) await each();
  };
  try {
    const settings = (await clouds.pluginSettings()).azure?.environment ?? {};
    const environment = { ...settings, NODE_EXTRA_CA_CERTS: authorityFile };
    const log: string[] = [];
    const began = Date.now();
    const cluster = await kubeletCluster({
      hosts: options.hosts,
      plugin: { arguments: ["--probe-interval=2s"], environment, files: [authorityFile] },
      outward: [Number(new URL(settings["HTTPS_PROXY"] ?? "").port)],
      report: (line) => log.push(`${inSeconds(Date.now() - began)} ${line}`),
    });
    closing.push(() => cluster.close());
    for (const machine of cluster.machines) {
      const azureJson = JSON.stringify({ useManagedIdentityExtension: true, userAssignedIdentityID: "" });
      writeFileSync(machine.outside("/etc/kubernetes/azure.json"), azureJson, { mode: 0o600 });
      cpSync(settings["NODE_EXTRA_CA_CERTS"] ?? "", machine.outside(authorityFile));
    }
    await writeSecrets(cluster, options.secrets, "POST");
    const plugin = (version: number) => pluginInstance(clouds.azureKey("k8skv", `k8s-${version}`));

    async function rotate(
      writer: Writer,
      { goal, plugin: changed, onEvent }: RotateOptions = {},
    ): Promise<RotationOutcome> {
      const { described } = cluster;
      const opened = await openSelfManagedCluster({
        ...described,
        plugin: { ...described.plugin, ...changed },
      });
      const start = Date.now();
      try {
        return await runRotation({
          goal: {
            resources: ["secrets"],
            writer: writer === "identity" ? writer : plugin(writer),
            declared: [1, 2].map(plugin),
            allowPlaintextReads: false,
            advanceTo: RotationStage.Prune,
            servers: opened.servers,
            limits: defaultLimits,
            ...goal,
          },
          fleet: opened.fleet,
          stored: opened.stored,
          onEvent: (event) => {
            onEvent?.(event);
            if (event.kind === "progress") return;
            log.push(`${inSeconds(event.at - start)} ${event.stage} ${event.kind}: ${event.message}`);
          },
          signal: new AbortController().signal,
        });
      } finally {
        await closeCluster(opened);
      }
    }

    return {
      ...cluster,
      clouds,
      log,
      plugin,
      environment,
      provider: (writer) =>
        writer === "identity" ? "plaintext" : `k8s:enc:kms:v2:${providerName("v2", plugin(writer).key, "secrets")}`,
      stored: () => storedProviders(cluster.controlPlane.etcd),
      rewriteSecrets: () => writeSecrets(cluster, options.secrets, "PUT"),
      rotate,
      async underClients(work, choices = {}) {
        const logStart = log.length;
        const start = Date.now();
        const clients = startTraffic(cluster.controlPlane, choices);
        const observer = observeCluster(cluster.controlPlane);
        const readiness = recordReadiness(cluster);
        const stop = async () => {
          const absences = await readiness.stop();
          const traffic = await clients.stop();
          await observer.stop();
          return { absences, traffic, said: log.slice(logStart).join("\n") };
        };
        const result = await work().catch(async (thrown: unknown) => {
          const { said } = await stop();
          throw new Error(`${thrown instanceof Error ? thrown.message : String(thrown)}\n${said}`, { cause: thrown });
        });
        const seconds = (Date.now() - start) / 1_000;
        const seen = await stop();
        assert.deepEqual(observer.violations, [], seen.said);
        assert.deepEqual(seen.traffic.failures.filter(isLoss), [], seen.said);
        assert.ok(seen.traffic.requests > 100 && observer.looks() >= 3, `${seen.traffic.requests} requests`);
        await compareSecrets(cluster, options.secrets).catch((thrown: unknown) => {
          const why = thrown instanceof Error ? thrown.message : String(thrown);
          throw new Error(`${why}\n${JSON.stringify(result)}\n${seen.said}`, { cause: thrown });
        });
        return { ...seen, result, seconds };
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** Fails with the engine's words where the rotation did not end well. */
export async function assertDone(
  kubelets: AzureKubelets,
  { result, said }: Seen<RotationOutcome>,
  writer: Writer,
): Promise<void> {
  assert.equal(result.kind, "done", `${result.reason}; ${result.remedy}\n${said}`);
  assert.deepEqual([result.evidence.complete, result.evidence.method], [true, "etcd"]);
  assert.deepEqual(Object.keys(await kubelets.stored()), [kubelets.provider(writer)], said);
}

async function writeSecrets(cluster: KubeletCluster, count: number, method: "POST" | "PUT"): Promise<void> {
  const collection = "/api/v1/namespaces/default/secrets";
  for (let index = 0; index < count; index += 1) {
    const path = method === "POST" ? collection : `${collection}/s${index}`;
    const { status, text } = await cluster.request(index % cluster.machines.length, method, path, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: `s${index}` },
      data: { value: contentOf(index) },
    });
    assert.ok(status === 200 || status === 201, text);
  }
}

const contentOf = (index: number) => Buffer.from(`plaintext-${index}`).toString("base64");

async function compareSecrets(cluster: KubeletCluster, count: number): Promise<void> {
  for (const host of cluster.machines.keys()) {
    for (let index = 0; index < count; index += 1) {
      const { status, text } = await cluster.request(host, "GET", `/api/v1/namespaces/default/secrets/s${index}`);
      assert.equal(status, 200, text);
      const { data } = JSON.parse(text) as { data: { value: string } };
      assert.equal(data.value, contentOf(index));
    }
  }
}

export function inSeconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(1)} s`;
}
