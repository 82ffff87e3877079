/** Lays out the hosts of a control plane: directories, certificates, encryption configuration, manifests, kubeconfigs. */
import { access, chmod, lstat, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KmsEtcdError } from "../core/errors";
import type { LocalControlPlane } from "../core/local-control-plane";
import { readFileIfAny, writeFileAtomically } from "./atomic-file";
import { apiServerPod } from "./manifests/api-server-pod";
import { etcdPod } from "./manifests/etcd-pod";
import { kubeconfig } from "./manifests/kubeconfig";
import { createPki, pkiFiles } from "./pki/control-plane-pki";
import type { ControlPlaneSettings } from "./settings";
import { apiServerManifest, etcdHostName, type StateLayout } from "./state-layout";

/**
 * Makes what is missing and leaves alone what is there: manifests and encryption configurations belong to whoever
 * runs the cluster from the first start on. Only a manifest whose program has gone is written again.
 */
export async function layOutHosts(
  layout: StateLayout,
  settings: ControlPlaneSettings,
  controlPlane: LocalControlPlane,
  initialEncryptionConfig: string,
): Promise<void> {
  const names = controlPlane.hosts.map(({ name }) => name);
  for (const name of [etcdHostName, ...names]) {
    const host = layout.host(name);
    for (const directory of [host.manifestDirectory, host.pkiDirectory, host.logDirectory])
      await makePrivate(directory);
  }
  await makePrivate(layout.etcdDataDirectory);
  await makeOwnSocketRoot(settings.socketRoot);
  await createPki(layout, names);
  const pki = pkiFiles(layout);

  for (const { name, pluginSocketDirectory } of controlPlane.hosts) {
    const host = layout.host(name);
    for (const directory of [host.encryptionDirectory, host.backupDirectory, pluginSocketDirectory])
      await makePrivate(directory);
    if ((await readFileIfAny(host.encryptionConfigFile)) === undefined) {
      await writeFileAtomically(host.encryptionConfigFile, initialEncryptionConfig);
    }
  }
  await writeKubeconfigs(layout, controlPlane);

  const etcd = etcdPod({
    binary: settings.etcdBinary,
    dataDirectory: layout.etcdDataDirectory,
    clientPort: settings.etcdPort,
    peerPort: settings.etcdPeerPort,
    tls: pki.etcdServer,
    unsafeNoFsync: settings.unsafeNoFsync,
    extraArguments: settings.etcdArguments,
  });
  await writeManifest(join(layout.host(etcdHostName).manifestDirectory, "etcd.yaml"), etcd, settings.etcdBinary);
  for (const [index, { name, encryptionConfigFile }] of controlPlane.hosts.entries()) {
    const manifest = apiServerPod({
      binary: settings.apiServerBinary,
      port: settings.apiServerPorts[index] ?? 0,
      etcdPort: settings.etcdPort,
      files: pki.apiServer(name),
      encryptionConfigFile,
      automaticReload: settings.automaticReload,
      requestTimeoutSeconds: settings.requestTimeoutSeconds,
      extraArguments: settings.apiServerArguments,
    });
    await writeManifest(
      join(layout.host(name).manifestDirectory, apiServerManifest),
      manifest,
      settings.apiServerBinary,
    );
  }
}

async function writeManifest(file: string, content: string, binary: string): Promise<void> {
  const present = await readFileIfAny(file);
  if (present !== undefined && (present.includes(binary) || !(await isGone(present)))) return;
  await writeFileAtomically(file, content);
}

/** Whether the program that a manifest of ours names is no longer there, because the cache was emptied or has moved. */
async function isGone(manifest: string): Promise<boolean> {
  const program = /^\s+- (\/\S+)$/m.exec(manifest)?.[1];
  if (program === undefined) return false;
  return access(program).then(
    () => false,
    () => true,
  );
}

async function writeKubeconfigs(layout: StateLayout, controlPlane: LocalControlPlane): Promise<void> {
  const { administrator } = pkiFiles(layout);
  const [ca, certificate, privateKey] = await Promise.all(
    [administrator.caFile, administrator.certFile, administrator.keyFile].map((file) => readFile(file, "utf8")),
  );
  const user = { ca: ca ?? "", certificate: certificate ?? "", privateKey: privateKey ?? "" };
  const servers = controlPlane.hosts.map(({ name, apiServerUrl }) => ({ name, url: apiServerUrl }));
  await writeFileAtomically(layout.kubeconfigFile, kubeconfig(servers, user));
  for (const server of servers) {
    await writeFileAtomically(layout.host(server.name).kubeconfigFile, kubeconfig([server], user));
  }
}

async function makePrivate(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700); // etcd refuses a data directory that others can read
}

/** The socket directory may lie in /tmp, where anyone could have made it first. */
async function makeOwnSocketRoot(directory: string): Promise<void> {
  await mkdir(dirname(directory), { recursive: true });
  await mkdir(directory, { mode: 0o700 }).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  });
  const found = await lstat(directory);
  if (!found.isDirectory() || (process.getuid && found.uid !== process.getuid())) {
    throw new KmsEtcdError(
      "permission-denied",
      `${directory}, where plugin sockets go, is not a directory of this user`,
      {
        remedy: "remove it, or clean this control plane and start it again",
      },
    );
  }
  await chmod(directory, 0o700);
}
