/**
 * A kOps cluster that is real but for the cloud's hardware: the real kops, its store, groups and instances in moto, a real API server with
 * real plugins on each control-plane machine, a real etcd, and moto's KMS. Everything is in one directory and on the loopback.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Pool } from "undici";
import { startLoneEtcd } from "../../../../control-plane/lone-etcd";
import { kubeconfig } from "../../../../control-plane/manifests/kubeconfig";
import { createPki, pkiFiles } from "../../../../control-plane/pki/control-plane-pki";
import { stateLayout } from "../../../../control-plane/state-layout";
import { pluginNodeOptions } from "../../../../core/plugin-node-options";
import { bundleEntry } from "../../../../plugin-server/image/bundle";
import { bundlePlugin } from "../../../../plugin-server/image/bundle-plugin";
import { findTool } from "../../../../tools/find-tool";
import { endWithTests } from "../../../support/end-with-tests";
import { type MotoCloud, startMotoCloud } from "../moto-cloud";
import { type MachineKind, pluginProgram } from "./kops-machine";
import { type KopsNodes, startKopsNodes } from "./kops-nodes";
import { type RecordedKms, startRecordedKms } from "./recorded-kms";
import { runToEnd } from "./run-to-end";

/** What there is before the first machine. */
export interface UnmadeKopsCluster {
  readonly name: string;
  readonly directory: string;
  readonly cloud: MotoCloud;
  readonly kms: RecordedKms;
  readonly nodes: KopsNodes;
  /** Path of the real program, and the environment that it works in. */
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  /** With a context named like the cluster. */
  readonly kubeconfigFile: string;
  /** Runs kops as a person would; throws with what it said where it fails. */
  kops(args: readonly string[], input?: string): Promise<string>;
}

export interface RealKopsCluster extends UnmadeKopsCluster {
  /** s0, s1, ... each with a content of its own. */
  createSecrets(count: number): Promise<void>;
  /** How many stored Secrets begin with which prefix, by etcd's own bytes: `k8s:enc:kms:v2:NAME:`, or `plaintext`. */
  storedProviders(): Promise<Readonly<Record<string, number>>>;
  /** The stored bytes of one Secret, as `etcdctl get` prints them. */
  storedValue(name: string): Promise<string>;
  close(): Promise<void>;
}

export interface RealKopsOptions {
  readonly python: string;
  /** Each is a group of its own: kOps lets a group of the control plane have one machine. */
  readonly controlPlanes: ControlPlanes;
  /** After `kops create cluster`, before the first machine is made. */
  readonly beforeFirstUpdate?: (cluster: UnmadeKopsCluster) => Promise<void>;
}

export const realKopsName = "e2e.k8s.local";
/** One that moto knows; what machines boot from is not looked at. */
const machineImage = "099720109477/ubuntu/images/hvm-ssd/ubuntu-xenial-16.04-amd64-server-20170721";
const project = join(__dirname, "..", "..", "..", "..");
const zones = ["us-east-1a", "us-east-1b", "us-east-1c"];

export type ControlPlanes = 1 | 3;

/** How many the tests take; with 1 they need a third of the time, and the API is away in each roll. */
export function controlPlanesOf(variables: Readonly<Record<string, string | undefined>>): ControlPlanes {
  return variables["KMS_ETCD_KOPS_CONTROL_PLANES"] === "1" ? 1 : 3;
}

export async function startRealKopsCluster(options: RealKopsOptions): Promise<RealKopsCluster> {
  const name = realKopsName;
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-machines-"));
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    mkdirSync(join(directory, "home"));
    const cloud = await startMotoCloud(options.python, join(directory, "home"));
    closing.push(() => cloud.stop());
    const kms = await startRecordedKms(cloud.url);
    closing.push(() => kms.stop());

    const serverName = `api.internal.${name}`;
    const layout = stateLayout(directory);
    await createPki(layout, [serverName]);
    const pki = pkiFiles(layout);
    const etcdDirectory = join(directory, "etcd");
    mkdirSync(etcdDirectory);
    const etcd = await startLoneEtcd({ directory: etcdDirectory, tls: pki.etcdServer, client: pki.etcdAdministrator });
    const left = endWithTests(etcd.pid);
    closing.push(() => etcd.stop().then(left));
    const read = (file: string) => readFileSync(file, "utf8");
    const { administrator } = pki;
    const tls = {
      ca: read(administrator.caFile),
      cert: read(administrator.certFile),
      key: read(administrator.keyFile),
      servername: serverName,
    };
    const kind: MachineKind = {
      apiServer: (await findTool("kube-apiserver")).path,
      etcdPort: Number(new URL(etcd.endpoint).port),
      files: pki.apiServer(serverName),
      tls,
      programOf: pluginProgram([process.execPath, ...pluginNodeOptions, await bundledPlugin(directory)]),
      pluginArguments: [`--kms-endpoint=${kms.url}`],
      pluginEnvironment: { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b", AWS_EC2_METADATA_DISABLED: "true" },
    };
    const nodes = await startKopsNodes(cloud, name, kind, join(directory, "machines"));
    closing.push(() => nodes.stop());

    const kubeconfigFile = join(directory, "kubeconfig");
    writeFileSync(kubeconfigFile, serverNamed(nodes.port, name, serverName, tls), { mode: 0o600 });
    const environment = { ...cloud.environment, KUBECONFIG: kubeconfigFile };
    const program = (await findTool("kops")).path;
    const kops = (args: readonly string[], input?: string) =>
      runToEnd(program, [...args, "--state", cloud.stateStore], environment, input);
    await kops([
      ...["create", "cluster", name, `--zones=${zones.slice(0, options.controlPlanes).join()}`],
      ...[`--control-plane-count=${options.controlPlanes}`, "--node-count=1", "--networking=cni", "--channel=none"],
      ...["--kubernetes-version=1.36.0", `--image=${machineImage}`],
      ...["--control-plane-size=m5.large", "--node-size=m5.large"],
      // Machines have addresses of the loopback: each is one that can be dialled here.
      ...["--network-cidr=127.20.0.0/16", "--set=spec.kubeAPIServer.securePort=8443"],
    ]);
    const unmade = { name, directory, cloud, kms, nodes, program, environment, kubeconfigFile, kops };
    await options.beforeFirstUpdate?.(unmade);
    await kops(["update", "cluster", "--name", name, "--yes", "--create-kube-config=false"]);
    await nodes.settled();

    const etcdFiles = pki.etcdAdministrator;
    const store = new Pool(etcd.endpoint, {
      connect: { ca: read(etcdFiles.caFile), cert: read(etcdFiles.certFile), key: read(etcdFiles.keyFile) },
    });
    closing.push(() => store.destroy());
    const range = async (from: string, to?: string) => {
      const encode = (text: string) => Buffer.from(text).toString("base64");
      const body = { key: encode(from), ...(to !== undefined && { range_end: encode(to) }) };
      const answer = await store.request({ method: "POST", path: "/v3/kv/range", body: JSON.stringify(body) });
      const { kvs = [] } = (await answer.body.json()) as { kvs?: { value: string }[] };
      return kvs.map(({ value }) => Buffer.from(value, "base64").toString("latin1"));
    };
    return {
      ...unmade,
      async createSecrets(count) {
        for (let index = 0; index < count; index += 1) {
          const body = {
            ...{ apiVersion: "v1", kind: "Secret", metadata: { name: `s${index}` } },
            stringData: { text: `content of s${index}` },
          };
          const { status, text } = await nodes.ask("POST", "/api/v1/namespaces/default/secrets", body);
          if (status !== 201) throw new Error(`s${index}: ${status} ${text}`);
        }
      },
      async storedProviders() {
        const counts: Record<string, number> = {};
        for (const value of await range("/registry/secrets/", "/registry/secrets0")) {
          const prefix = /^k8s:enc:[a-z]+:v\d:[^:]+:/.exec(value)?.[0] ?? "plaintext";
          counts[prefix] = (counts[prefix] ?? 0) + 1;
        }
        return counts;
      },
      storedValue: async (secret) => (await range(`/registry/secrets/default/${secret}`))[0] ?? "",
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

/** The plugin as its image has it. */
async function bundledPlugin(directory: string): Promise<string> {
  const version = { version: "v9.8.7", commit: "abc", date: "" };
  const { files } = await bundlePlugin(project, version, "/usr/bin/env node");
  const folder = join(directory, "plugin");
  for (const { path, content } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return join(folder, bundleEntry);
}

/** As `kops export kubeconfig` writes it: the load balancer's address, with the name that every API server's certificate has. */
function serverNamed(
  port: number,
  name: string,
  serverName: string,
  tls: { readonly ca: string; readonly cert: string; readonly key: string },
): string {
  const text = kubeconfig([{ name, url: `https://127.0.0.1:${port}` }], {
    ca: tls.ca,
    certificate: tls.cert,
    privateKey: tls.key,
  });
  return text.replace(/^( *)(server: .*)$/m, `$1$2\n$1tls-server-name: ${serverName}`);
}
