/**
 * A kOps cluster that is real but for the cloud's hardware: the real kops, its store, groups and instances in moto, a real API server with
 * real plugins on each control-plane machine, a real etcd, and moto's KMS. Everything is in one directory and on the loopback.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { kubeconfig } from "../../../../control-plane/manifests/kubeconfig";
import { createKopsRunner } from "../../../../rotation/adapters/kops/kops-process";
import { findTool } from "../../../../tools/find-tool";
import { type MotoCloud, machineImage } from "../moto-cloud";
import { kopsAuthority } from "./kops-authority";
import type { MachineKind } from "./kops-machine";
import { type KopsNodes, startKopsNodes } from "./kops-nodes";
import { startMachineGround } from "./machine-ground";
import type { RecordedKms } from "./recorded-kms";

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
  /** The text of kOps' encryptionconfig secret. */
  secret(): Promise<string>;
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
  /**
   * What stands between kops and the cloud's address, and has an address of its own. From the first command on: the address is
   * in the machines' template, and another one later would be a change that waits to be carried out.
   */
  readonly front?: (cloud: string) => Promise<string>;
  /** Machines and workers have credentials of kOps' own keysets, and so has the kubeconfig; otherwise all have those of the tests. */
  readonly ownCredentials?: true;
  /** After `kops create cluster`, before the first machine is made. */
  readonly beforeFirstUpdate?: (cluster: UnmadeKopsCluster) => Promise<void>;
}

export const realKopsName = "e2e.k8s.local";
/** Bears a machine that is much slower than this one. */
const commandWithin = 900_000;
const never = new AbortController().signal;
const zones = ["us-east-1a", "us-east-1b", "us-east-1c"];

export type ControlPlanes = 1 | 3;

/** How many the tests take; with 1 they need a third of the time, and the API is away in each roll. */
export function controlPlanesOf(variables: Readonly<Record<string, string | undefined>>): ControlPlanes {
  return variables["KMS_ETCD_KOPS_CONTROL_PLANES"] === "1" ? 1 : 3;
}

export async function startRealKopsCluster(options: RealKopsOptions): Promise<RealKopsCluster> {
  const name = realKopsName;
  const ground = await startMachineGround(options.python, name);
  const { directory, cloud, kms, kind, closing } = ground;
  try {
    const own = options.ownCredentials && { authority: kopsAuthority(cloud, name) };
    const nodes = await startKopsNodes(cloud, name, { ...kind, ...own }, join(directory, "machines"));
    closing.push(() => nodes.stop());

    const kubeconfigFile = join(directory, "kubeconfig");
    writeFileSync(kubeconfigFile, serverNamed(nodes.port, name, kind.tls), { mode: 0o600 });
    const url = await options.front?.(cloud.url);
    const address = url === undefined ? {} : { AWS_ENDPOINT_URL: url, S3_ENDPOINT: url };
    const environment = { ...cloud.environment, ...address, KUBECONFIG: kubeconfigFile };
    const program = (await findTool("kops")).path;
    const run = createKopsRunner(program, environment);
    async function kops(words: readonly string[], input = ""): Promise<string> {
      const args = [...words, "--state", cloud.stateStore];
      const { code, stdout, stderr } = await run({ args, input, timeoutMs: commandWithin, signal: never });
      if (code === 0) return stdout;
      throw new Error(`kops ${args.slice(0, 3).join(" ")} ended with ${code}:\n${stderr.slice(-2_000)}`);
    }
    await kops([
      ...["create", "cluster", name, `--zones=${zones.slice(0, options.controlPlanes).join()}`],
      ...[`--control-plane-count=${options.controlPlanes}`, "--node-count=1", "--networking=cni", "--channel=none"],
      ...["--kubernetes-version=1.36.0", `--image=${machineImage}`],
      ...["--control-plane-size=m5.large", "--node-size=m5.large"],
      // Machines have addresses of the loopback: each is one that can be dialled here. Moto counts them from the first of the network's, so
      // two clusters at once need networks of their own.
      ...[`--network-cidr=127.${16 + (process.pid % 224)}.0.0/16`, "--set=spec.kubeAPIServer.securePort=8443"],
    ]);
    const secret = () => kops(["get", "secrets", "encryptionconfig", "--name", name, "-o", "plaintext"]);
    const unmade = { name, directory, cloud, kms, nodes, program, environment, kubeconfigFile, kops, secret };
    await options.beforeFirstUpdate?.(unmade);
    await kops(["update", "cluster", "--name", name, "--yes", "--create-kube-config=false"]);
    if (options.ownCredentials) {
      rmSync(kubeconfigFile);
      const where = ["--kubeconfig", kubeconfigFile, `--api-server=https://127.0.0.1:${nodes.port}`];
      await kops(["export", "kubeconfig", "--name", name, "--admin=18h", ...where]);
    }
    await nodes.settled();

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
      storedProviders: () => ground.storedProviders(),
      storedValue: (secret) => ground.storedValue(secret),
      close: () => ground.close(),
    };
  } catch (thrown) {
    await ground.close();
    throw thrown;
  }
}

/** As `kops export kubeconfig` writes it: the load balancer's address, with the name that every API server's certificate has. */
function serverNamed(port: number, name: string, tls: MachineKind["tls"]): string {
  const text = kubeconfig([{ name, url: `https://127.0.0.1:${port}` }], {
    ca: tls.ca,
    certificate: tls.cert,
    privateKey: tls.key,
  });
  return text.replace(/^( *)(server: .*)$/m, `$1$2\n$1tls-server-name: ${tls.servername}`);
}
