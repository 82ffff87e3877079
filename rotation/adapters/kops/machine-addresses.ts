/**
 * The way to each machine's own API server, and no other behind the load balancer: the machine's address, directly or through one
 * SSH host, with the name that kOps gives to every API server's certificate.
 */
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Duplex } from "node:stream";
import { parseDocument } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import { type KopsCluster, KopsMachineAddress } from "../../../core/kops-cluster";
import type { ApiServerAddress } from "../kubernetes/api-client";
import { type KubeconfigCredentials, readKubeconfig } from "../kubernetes/kubeconfig";
import { type SshSession, sshSession } from "../ssh/ssh-session";
import type { KopsInstance } from "./kops-output";

export interface MachineAddresses {
  addressOf(instance: KopsInstance): ApiServerAddress;
  close(): void;
}

const connectTimeout = 5_000;

/** `port` is where the cluster's API servers listen. */
export function machineAddresses(
  cluster: Pick<KopsCluster, "clusterName" | "machineAddress" | "jumpHost">,
  { tls, token }: KubeconfigCredentials,
  port: number,
): MachineAddresses {
  const { clusterName, jumpHost } = cluster;
  const jump = jumpHost && sshSession({ ...jumpHost, name: `${clusterName}, jump host` });
  const isExternal = cluster.machineAddress === KopsMachineAddress.External;
  return {
    addressOf({ id, internalAddress, externalAddress }) {
      const host = isExternal ? externalAddress : internalAddress;
      return {
        name: id,
        // The address is a part of what tells one server from another; the name in the certificate is none.
        url: `https://${host === "" ? `${id}.invalid` : host.includes(":") ? `[${host}]` : host}:${port}`,
        tls,
        ...(token !== undefined && { token }),
        way: {
          dial: () => (host === "" ? Promise.reject(noAddress(id, isExternal)) : dial(jump, host, port)),
          serverNames: [`api.internal.${clusterName}`, "kubernetes.default.svc"],
        },
      };
    },
    close: () => jump?.close(),
  };
}

async function dial(jump: SshSession | undefined, host: string, port: number): Promise<Duplex> {
  if (jump !== undefined) return (await jump.ssh()).forward(host, port);
  return new Promise((resolved, rejected) => {
    const socket = connect({ host, port });
    socket.setTimeout(connectTimeout, () => socket.destroy(new Error(`no connection to ${host} in 5 s`)));
    socket.once("error", rejected);
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.off("error", rejected);
      resolved(socket);
    });
  });
}

function noAddress(id: string, isExternal: boolean): KmsEtcdError {
  return new KmsEtcdError("not-found", `the machine ${id} has no ${isExternal ? "public" : "private"} address`, {
    remedy: isExternal
      ? "use its private one: machineAddress Internal, with a jumpHost where it is not reached directly"
      : "see `kops get instances`",
  });
}

/**
 * An administrator's, by which the engine reads metrics and writes objects again: of the text that was given, of the file, or of the
 * user's own kubeconfig, where kops itself puts a context named like the cluster.
 */
export async function kopsCredentials(
  { clusterName, kubeconfig, kubeconfigFile }: Pick<KopsCluster, "clusterName" | "kubeconfig" | "kubeconfigFile">,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<KubeconfigCredentials> {
  if (kubeconfig !== undefined) return readKubeconfig(kubeconfig, "kops.kubeconfig");
  const usual = (variables["KUBECONFIG"] ?? "").split(":").filter((path) => path !== "");
  const home = variables["HOME"] ?? homedir();
  const files =
    kubeconfigFile === undefined ? (usual.length > 0 ? usual : [join(home, ".kube", "config")]) : [kubeconfigFile];
  for (const file of files) {
    const text = await readFile(file, "utf8").catch((cause: unknown) => {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT") return undefined;
      throw new KmsEtcdError("permission-denied", `${file} can't be read (${code ?? ""})`, { cause });
    });
    if (text === undefined || !hasContext(text, clusterName)) continue;
    return readKubeconfig(text, file, (path) => readFile(resolve(dirname(file), path), "utf8"), clusterName);
  }
  throw new KmsEtcdError("not-found", `no context ${clusterName} is in ${files.join(", ")}`, {
    remedy: `kops export kubeconfig ${clusterName} --admin=8h makes one; or give a kubeconfig's text in kops.kubeconfig`,
  });
}

function hasContext(text: string, name: string): boolean {
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) return false;
  const { contexts } = (document.toJS() ?? {}) as { readonly contexts?: unknown };
  return Array.isArray(contexts) && contexts.some((context) => (context as { name?: unknown } | null)?.name === name);
}
