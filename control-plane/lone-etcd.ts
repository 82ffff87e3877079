/** One etcd with TLS, without API servers: beside a control plane's own, or alone. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TlsClientFiles } from "../core/local-control-plane";
import { findTool } from "../tools/find-tool";
import { type ChildProgram, startChildProgram } from "./child-program";
import { etcdPod } from "./manifests/etcd-pod";
import type { ServerFiles } from "./pki/control-plane-pki";
import { parsePodManifest } from "./pods/pod-manifest";
import { reservePorts } from "./ports/port-reservations";
import { askHealth } from "./readiness";

export interface LoneEtcdOptions {
  /** Of its own: data and log go there. */
  readonly directory: string;
  readonly tls: ServerFiles;
  /** A client that it lets in. */
  readonly client: TlsClientFiles;
  readonly extraArguments?: readonly string[];
}

export interface LoneEtcd extends ChildProgram {
  readonly endpoint: string;
}

/** Returns when it is ready. It does not wait for the disk. */
export async function startLoneEtcd({ directory, tls, client, extraArguments }: LoneEtcdOptions): Promise<LoneEtcd> {
  const dataDirectory = join(directory, "data");
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const { path } = await findTool("etcd");
  const [clientPort = 0, peerPort = 0] = await reservePorts(directory, [undefined, undefined]);
  const pod = etcdPod({
    binary: path,
    dataDirectory,
    clientPort,
    peerPort,
    tls,
    unsafeNoFsync: true,
    extraArguments: extraArguments ?? [],
  });
  const [program = "", ...args] = parsePodManifest(pod).command;
  const endpoint = `https://127.0.0.1:${clientPort}`;
  const isReady = async () => (await askHealth(endpoint, "/health", client)).ready;
  const etcd = await startChildProgram(program, args, join(directory, "etcd.log"), isReady);
  return { ...etcd, endpoint };
}
