/**
 * One control-plane machine of a kOps cluster: a real kube-apiserver with the encryption configuration that nodeup would give it, and the
 * plugins of its file assets, all with this machine's own folders, name and address.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Pool } from "undici";
import { apiServerPod } from "../../../../control-plane/manifests/api-server-pod";
import type { ApiServerFiles } from "../../../../control-plane/pki/control-plane-pki";
import { parsePodManifest } from "../../../../control-plane/pods/pod-manifest";
import { type RunningProgram, runContained } from "./contained-program";
import type { KopsAuthority } from "./kops-authority";
import { isMountedByHook, type MachinePod, type NodeupConfig, staticPods } from "./machine-pods";

/** What every machine of the cluster has. */
export interface MachineKind {
  readonly apiServer: string;
  readonly etcdPort: number;
  readonly files: ApiServerFiles;
  /** An administrator's TLS, with the name in every API server's certificate. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string; readonly servername: string };
  /** The program of a container image, with its first arguments. */
  readonly programOf: (image: string, command: readonly string[]) => readonly string[];
  /** Flags and environment of every plugin: where its cloud is. */
  readonly pluginArguments: readonly string[];
  readonly pluginEnvironment: Readonly<Record<string, string>>;
  /** Where certificates and tokens are of kOps' own keysets; absent: every machine has those of the tests, whatever kOps does. */
  readonly authority?: KopsAuthority;
}

export interface KopsMachine {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  /** What it was made with. */
  readonly nodeup: NodeupConfig;
  readonly pods: readonly MachinePod[];
  request(method: string, path: string, body?: unknown, contentType?: string): Promise<MachineAnswer>;
  /** Whether the API server takes work. */
  isReady(): Promise<boolean>;
  /** Whether the pod's readiness probe is passed. */
  isPodReady(pod: MachinePod): Promise<boolean>;
  terminate(): Promise<void>;
}

export interface MachineAnswer {
  readonly status: number;
  readonly text: string;
}

const serverFolder = "/srv/kubernetes/kube-apiserver";
const configFile = `${serverFolder}/encryptionconfig.yaml`;
/** Folders that only a hook can bring into the API server. */
const hookFolders = ["/var/run/kmsplugin"];
const answerWithin = 5_000;

/**
 * `secret` is kOps' encryptionconfig secret as it is while the machine boots. nodeup gives it to the API server byte for byte, whether or not
 * it is the one that `nodeup` was made with.
 */
export function bootMachine(
  kind: MachineKind,
  { id, address, directory }: { readonly id: string; readonly address: string; readonly directory: string },
  nodeup: NodeupConfig,
  secret: string | undefined,
): KopsMachine {
  const port = nodeup.APIServerConfig?.KubeAPIServer?.securePort ?? 443;
  const folder = (path: string): string => {
    const own = join(directory, "root", path);
    mkdirSync(own, { recursive: true, mode: 0o755 });
    return own;
  };
  const encrypts = nodeup.APIServerConfig?.EncryptionConfigSecretHash !== undefined;
  if (encrypts && secret !== undefined) writeFileSync(join(folder(serverFolder), "encryptionconfig.yaml"), secret);
  const log = (name: string) => join(folder("/var/log"), `${name}.log`);
  const pods = staticPods(nodeup);
  const running: RunningProgram[] = [];
  for (const pod of pods) running.push(runPod(pod));
  // nodeup waits for a secret that is not there, and the API server with it.
  if (!encrypts || secret !== undefined) running.push(runApiServer());
  const pool = new Pool(`https://${address}:${port}`, { connect: { ...kind.tls, timeout: answerWithin } });

  function runPod(pod: MachinePod): RunningProgram {
    // Where a container has the machine's network, the machine's loopback is its own.
    const own = (flag: string) => flag.replace(/^--health-port=.*:(\d+)$/, `--health-port=${address}:$1`);
    return runContained({
      command: [...kind.programOf(pod.image, pod.command.map(own)), ...pod.args.map(own), ...kind.pluginArguments],
      hostName: id,
      mounts: pod.mounts.map(({ hostPath, mountPath }) => ({ from: folder(hostPath), to: mountPath })),
      environment: kind.pluginEnvironment,
      logFile: log(pod.name),
    });
  }

  function runApiServer(): RunningProgram {
    const gates = Object.entries(nodeup.APIServerConfig?.KubeAPIServer?.featureGates ?? {});
    const manifest = apiServerPod({
      binary: kind.apiServer,
      port,
      etcdPort: kind.etcdPort,
      files: kind.files,
      encryptionConfigFile: configFile,
      automaticReload: false, // as kOps' own
      requestTimeoutSeconds: 60,
      extraArguments: [
        `--bind-address=${address}`,
        ...(gates.length === 0 ? [] : [`--feature-gates=${gates.map((gate) => gate.join("=")).join()}`]),
      ],
    });
    const { command } = parsePodManifest(manifest);
    const hooked = hookFolders.filter((path) => isMountedByHook(nodeup, path));
    return runContained({
      command: command.filter((flag) => encrypts || !flag.startsWith("--encryption-provider-config")),
      hostName: id,
      mounts: [serverFolder, ...hooked].map((path) => ({ from: folder(path), to: path })),
      environment: {},
      logFile: log("kube-apiserver"),
    });
  }

  async function request(method: string, path: string, body?: unknown, contentType = "application/json") {
    const answer = await pool.request({
      method: method,
      path,
      headers: body === undefined ? {} : { "content-type": contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headersTimeout: answerWithin,
      bodyTimeout: answerWithin,
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  }

  return {
    id,
    address,
    port,
    nodeup,
    pods,
    request,
    isReady: () =>
      request("GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      ),
    async isPodReady({ readiness }) {
      if (readiness === undefined) return true;
      const url = `http://${address}:${readiness.port}${readiness.path}`;
      return fetch(url, { signal: AbortSignal.timeout(answerWithin) }).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    async terminate() {
      await Promise.all([...running.map((program) => program.kill()), pool.destroy()]);
    },
  };
}

/** An image's entry point is its container's command where it has one. */
export function pluginProgram(entry: readonly string[]): MachineKind["programOf"] {
  return (image, command) => {
    if (command.length === 0) return entry;
    const [program = "", ...more] = command;
    // Upstream's own program takes the flags of our sub-command for AWS, and none can be had to run it.
    if (program === "/aws-encryption-provider") return [...entry, "aws", ...more];
    throw new Error(`${image} has no program ${program} here (${dirname(program)})`);
  };
}
