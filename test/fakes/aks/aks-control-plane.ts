/**
 * What stands behind a managed cluster of the ARM model in a test: real API servers and a real etcd on this machine, with our
 * plugin server against the Azure fake's vaults. Setting keyId does here what it does in AKS: the servers run with the new key
 * and the one before, and with no third (key-window.ts says in which order they get there).
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { parse, stringify } from "yaml";
import { writeFileAtomically } from "../../../control-plane/atomic-file";
import { statusControlPlane } from "../../../control-plane/control-plane-status";
import { logTail } from "../../../control-plane/log-tail";
import { readHostStatus } from "../../../control-plane/pods/pod-status";
import { askHealth } from "../../../control-plane/readiness";
import { startControlPlane } from "../../../control-plane/start-control-plane";
import { stateLayout } from "../../../control-plane/state-layout";
import { cleanControlPlane } from "../../../control-plane/stop-control-plane";
import type { LocalControlPlane, LocalControlPlaneHost, TlsClientFiles } from "../../../core/local-control-plane";
import { formatLocalKeyFile } from "../../../core/local-key-file";
import { endWithTests } from "../../support/end-with-tests";
import { socketAnswers } from "../../support/socket-answers";
import type { KmsCluster, KmsWindow, KmsWriter } from "../arm/kms-cluster";
import type { FakeAzure } from "../azure/azure-cloud";
import { encryptionConfig, keysOf, nameOf, rolls, type ServerKeys } from "./key-window";
import { type LoadBalancer, loadBalancer } from "./load-balancer";
import { pluginPod } from "./plugin-pod";
import { runInShell } from "./run-in-shell";

export interface AksControlPlane extends KmsCluster {
  /** Once it runs. */
  readonly controlPlane: () => Promise<LocalControlPlane>;
  /** What was configured, the newest last. */
  readonly history: readonly KmsWindow[];
  /** By what it is stored under, a keyId, `platform` or `plaintext`: how many Secrets. Read from etcd by the test's own hand. */
  storedUnder(): Promise<Record<string, number>>;
  /** In the namespace `default`: s0, s1, ... with contents of their own. */
  createSecrets(count: number): Promise<void>;
  /** A request to the cluster's address, as its administrator. */
  request(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
  ): Promise<{ status: number; text: string }>;
}

export interface AksControlPlaneOptions {
  readonly azure: FakeAzure;
  /** A key's newest version, for a cluster that follows the key. */
  readonly newestKeyId: (keyId: string) => string;
  /** @default 1 */
  readonly servers?: number;
  /** How long a server may take until it is ready, and its Secrets can be read. @default 180 */
  readonly patienceSeconds?: number;
}

export function createAksControlPlane(options: AksControlPlaneOptions): AksControlPlane {
  const { azure, newestKeyId, servers = 1, patienceSeconds = 180 } = options;
  // Under the system's temporary directory: a unix socket's path has little room.
  const directory = mkdtempSync(join(tmpdir(), "aks-"));
  const state = join(directory, "cp");
  const layout = stateLayout(state);
  const platformKeyFile = join(directory, "platform.key");
  const history: KmsWindow[] = [];
  const names = new Map<string, string>();
  const identities = new Set<string>();
  let running: ServerKeys = { write: "identity", previous: undefined };
  let started: { controlPlane: LocalControlPlane; balancer: LoadBalancer; pool: Pool } | undefined;
  let ended = () => {};
  // AKS begins to make the control plane when the cluster is asked for.
  const starting = start();
  // Who asks for it is told; a test that closes early is not.
  starting.catch(() => undefined);

  async function start() {
    const noKeys = encryptionConfig(running, () => "");
    const controlPlane = await startControlPlane({
      stateDirectory: state,
      hosts: servers,
      automaticReload: false,
      unsafeNoFsync: true,
      initialEncryptionConfig: noKeys,
      readySeconds: patienceSeconds,
    });
    const { supervisorPid } = await statusControlPlane(state);
    if (supervisorPid !== undefined) ended = endWithTests(supervisorPid);
    await writeFile(platformKeyFile, formatLocalKeyFile(randomBytes(32)), { mode: 0o600 });
    const balancer = await loadBalancer(
      controlPlane.hosts.map(({ apiServerUrl }) => Number(new URL(apiServerUrl).port)),
    );
    const client = (controlPlane.hosts[0] as LocalControlPlaneHost).client;
    const pool = new Pool(`https://127.0.0.1:${balancer.port}`, {
      connections: 4,
      pipelining: 1,
      connect: tls(client),
    });
    started = { controlPlane, balancer, pool };
    return started;
  }

  async function request(method: string, path: string, body?: unknown) {
    const { pool } = started ?? (await starting);
    const answer = await pool.request({
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  /**
   * Whether a server is up with what its manifest says, and can read what is stored: AKS's own parts read Secrets too. Throws when
   * it never will.
   */
  async function serves({ name, apiServerUrl, client }: LocalControlPlaneHost, manifestHash: string): Promise<boolean> {
    const status = readHostStatus(layout.host(name).statusFile)?.pods.find((pod) => pod.name === "kube-apiserver");
    if (status?.manifestHash !== manifestHash || status.phase !== "running") return false;
    const { ready } = await askHealth(apiServerUrl, "/readyz", client);
    const server = new Pool(apiServerUrl, { connections: 1, connect: tls(client) });
    try {
      const answer = await server.request({ method: "GET", path: "/api/v1/secrets?limit=500", headersTimeout: 3_000 });
      const text = await answer.body.text();
      if (text.includes("no matching prefix found")) {
        throw new LostSecrets(`the API server of ${name} can't read its Secrets: ${messageOf(text)}`);
      }
      return ready && answer.statusCode === 200;
    } catch (thrown) {
      if (thrown instanceof LostSecrets) throw thrown;
      return false;
    } finally {
      await server.destroy();
    }
  }

  const socketOf = (host: LocalControlPlaneHost, name: string) => join(host.pluginSocketDirectory, `${name}.sock`);

  async function startPlugins(
    host: LocalControlPlaneHost,
    keys: ServerKeys,
    command: readonly string[],
  ): Promise<void> {
    for (const writer of keysOf(keys)) {
      const name = nameOf(writer);
      names.set(name, writer === "platform" ? writer : writer.keyId);
      const socket = socketOf(host, name);
      const manifest = pluginPod({
        name,
        writer,
        socket,
        command,
        environment: await azure.processEnvironment(directory),
        azureJson: await azureJson(writer),
        newestKeyId,
        platformKeyFile,
      });
      await writeFileAtomically(join(host.manifestDirectory, `${name}.yaml`), manifest);
      await until(
        `${name} of ${host.name} listens`,
        () => socketAnswers(socket),
        () => podProblem(host.name, name),
      );
    }
  }

  /** The plugin's side of the machine's metadata service: the identity that AKS gives to it. */
  async function azureJson(writer: Exclude<KmsWriter, "identity">): Promise<string> {
    if (writer === "platform") return "";
    const { clientId, principalId, tenantId } = writer.identity;
    if (!identities.has(clientId)) {
      azure.metadata.assign({ clientId, objectId: principalId, tenantId });
      identities.add(clientId);
    }
    const file = join(directory, `${clientId}.json`);
    await writeFile(file, JSON.stringify({ useManagedIdentityExtension: true, userAssignedIdentityID: clientId }));
    return file;
  }

  /** One server: its plugins, its configuration, a restart, and it is ready and can read. */
  async function roll(host: LocalControlPlaneHost, keys: ServerKeys, command: readonly string[]): Promise<void> {
    await startPlugins(host, keys, command);
    const config = encryptionConfig(keys, (name) => socketOf(host, name));
    await writeFileAtomically(host.encryptionConfigFile, config);
    const manifestFile = join(host.manifestDirectory, host.apiServerManifest);
    const pod = parse(await readFile(manifestFile, "utf8")) as { metadata: { annotations?: Record<string, string> } };
    pod.metadata.annotations = { "aks/encryption-config": sha256(config) };
    const manifest = stringify(pod, { lineWidth: 0 });
    await writeFileAtomically(manifestFile, manifest);
    const hash = `sha256:${sha256(manifest)}`;
    await until(
      `the API server of ${host.name} is ready`,
      () => serves(host, hash),
      () => podProblem(host.name, "kube-apiserver"),
    );
    const used = keysOf(keys).map(nameOf);
    for (const name of [...names.keys()].filter((known) => !used.includes(known))) {
      await rm(join(host.manifestDirectory, `${name}.yaml`), { force: true });
    }
  }

  /** What a pod that crashes says; undefined while there is hope. */
  function podProblem(host: string, pod: string): string | undefined {
    const { statusFile, logDirectory } = layout.host(host);
    const status = readHostStatus(statusFile)?.pods.find(({ name }) => name === pod);
    return (status?.restarts ?? 0) >= 3
      ? `${pod} keeps crashing\n${logTail(join(logDirectory, `${pod}.log`))}`
      : undefined;
  }

  async function until(
    what: string,
    condition: () => Promise<boolean>,
    problem: () => string | undefined,
  ): Promise<void> {
    const begun = Date.now();
    while (!(await condition())) {
      const why =
        problem() ?? (Date.now() - begun > patienceSeconds * 1_000 ? `not within ${patienceSeconds} s` : undefined);
      if (why !== undefined) throw new Error(`${what}: ${why}`);
      await delay(200);
    }
  }

  const cluster: AksControlPlane = {
    history,
    controlPlane: async () => (await starting).controlPlane,
    async configure(window) {
      history.push(window);
      const { controlPlane, balancer } = await starting;
      const wanted = { write: window.write, previous: window.previous };
      for (const keys of rolls(running, wanted, servers)) {
        if (keys.write === "identity" && keys.previous === undefined && running.write === "identity") break;
        for (const host of controlPlane.hosts) {
          // From the first server on, some run with these.
          running = keys;
          const port = Number(new URL(host.apiServerUrl).port);
          balancer.setReady(port, servers === 1);
          await roll(host, keys, controlPlane.pluginCommand);
          balancer.setReady(port, true);
        }
      }
      running = wanted;
      if (window.rewrittenByPlatform) await rewriteAll();
    },
    async run(command, archive) {
      await starting;
      if (archive !== undefined) throw new Error("this cluster's shell takes no files");
      return runInShell(command, cluster.kubeconfig());
    },
    kubeconfig() {
      if (started === undefined) return stringify({ apiVersion: "v1", kind: "Config", clusters: [] });
      const { controlPlane, balancer } = started;
      const { name, apiServerUrl } = controlPlane.hosts[0] as LocalControlPlaneHost;
      const text = readFileSync(layout.host(name).kubeconfigFile, "utf8");
      return text.replaceAll(apiServerUrl, `https://127.0.0.1:${balancer.port}`);
    },
    request,
    async storedUnder() {
      const { controlPlane } = await starting;
      const counts: Record<string, number> = {};
      for (const value of await storedSecrets(controlPlane)) {
        const [, name = ""] = /^k8s:enc:kms:v2:([^:]+):/.exec(value.subarray(0, 200).toString("latin1")) ?? [];
        const under = name === "" ? "plaintext" : (names.get(name) ?? name);
        counts[under] = (counts[under] ?? 0) + 1;
      }
      return counts;
    },
    async createSecrets(count) {
      for (let index = 0; index < count; index += 1) {
        const { status, text } = await request("POST", "/api/v1/namespaces/default/secrets", {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: `s${index}` },
          data: { value: Buffer.from(`plaintext-${index}`).toString("base64") },
        });
        if (status !== 201) throw new Error(`creating s${index}: ${status} ${text}`);
      }
    },
    async close() {
      await starting.catch(() => undefined);
      await started?.pool.destroy();
      await started?.balancer.close();
      await cleanControlPlane(state);
      ended();
      rmSync(directory, { recursive: true, force: true });
    },
  };

  /** What the controllers of KMS data encryption do. */
  async function rewriteAll(): Promise<void> {
    const { text } = await request("GET", "/api/v1/secrets");
    const { items } = JSON.parse(text) as { items: { metadata: { name: string; namespace: string } }[] };
    for (const { metadata } of items) {
      const path = `/api/v1/namespaces/${metadata.namespace}/secrets/${metadata.name}`;
      const { text: found } = await request("GET", path);
      const { status, text: answer } = await request("PUT", path, JSON.parse(found));
      if (status !== 200) throw new Error(`${path} can't be rewritten: ${messageOf(answer)}`);
    }
  }

  return cluster;
}

/** Values under etcd's prefix of Secrets. */
async function storedSecrets({ etcd }: LocalControlPlane): Promise<readonly Buffer[]> {
  const pool = new Pool(etcd.endpoints[0] ?? "", { connect: tls(etcd.client) });
  const encode = (text: string) => Buffer.from(text).toString("base64");
  const answer = await pool.request({
    method: "POST",
    path: "/v3/kv/range",
    body: JSON.stringify({ key: encode("/registry/secrets/"), range_end: encode("/registry/secrets0") }),
  });
  const { kvs = [] } = (await answer.body.json()) as { kvs?: { value: string }[] };
  await pool.close();
  return kvs.map(({ value }) => Buffer.from(value, "base64"));
}

class LostSecrets extends Error {}

function tls(files: TlsClientFiles) {
  return { ca: readFileSync(files.caFile), cert: readFileSync(files.certFile), key: readFileSync(files.keyFile) };
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
