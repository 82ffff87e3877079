/** Which certificates a control plane has, and where they lie. Two authorities, as kubeadm has them: one for the API, one for etcd. */
import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { TlsClientFiles } from "../../core/local-control-plane";
import { writeFileAtomically } from "../atomic-file";
import { etcdHostName, type StateLayout } from "../state-layout";
import {
  type CertificateAuthority,
  type CertificateRequest,
  createCertificateAuthority,
  createKeyPair,
} from "./certificate-authority";

/** A server's files: its own certificate, and the authority of its clients. */
export interface ServerFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string;
}

export interface ApiServerFiles {
  readonly serving: ServerFiles;
  readonly etcdClient: TlsClientFiles;
  readonly serviceAccountPublicKeyFile: string;
  readonly serviceAccountPrivateKeyFile: string;
}

export interface PkiFiles {
  readonly administrator: TlsClientFiles;
  readonly etcdAdministrator: TlsClientFiles;
  readonly etcdServer: ServerFiles;
  apiServer(host: string): ApiServerFiles;
}

/** Paths only; `createPki` makes the files. */
export function pkiFiles(layout: StateLayout): PkiFiles {
  const at = (name: string): string => join(layout.pkiDirectory, name);
  const etcd = layout.host(etcdHostName).pkiDirectory;
  return {
    administrator: { caFile: at("ca.crt"), certFile: at("admin.crt"), keyFile: at("admin.key") },
    etcdAdministrator: { caFile: at("etcd-ca.crt"), certFile: at("etcd-admin.crt"), keyFile: at("etcd-admin.key") },
    etcdServer: {
      certFile: join(etcd, "server.crt"),
      keyFile: join(etcd, "server.key"),
      clientCaFile: at("etcd-ca.crt"),
    },
    apiServer: (host) => {
      const own = layout.host(host).pkiDirectory;
      return {
        serving: {
          certFile: join(own, "apiserver.crt"),
          keyFile: join(own, "apiserver.key"),
          clientCaFile: at("ca.crt"),
        },
        etcdClient: {
          caFile: at("etcd-ca.crt"),
          certFile: join(own, "etcd-client.crt"),
          keyFile: join(own, "etcd-client.key"),
        },
        serviceAccountPublicKeyFile: at("service-account.pub"),
        serviceAccountPrivateKeyFile: at("service-account.key"),
      };
    },
  };
}

/** Names by which API servers are called: from this machine, and from inside a cluster. */
const apiServerDnsNames = [
  "localhost",
  "kubernetes",
  "kubernetes.default",
  "kubernetes.default.svc",
  "kubernetes.default.svc.cluster.local",
];
const loopback = "127.0.0.1";

/** Makes all files, or none when they are complete already: the mark that says so is written last. */
export async function createPki(layout: StateLayout, hosts: readonly string[]): Promise<void> {
  const complete = join(layout.pkiDirectory, "complete");
  if (await exists(complete)) return;
  const files = pkiFiles(layout);
  const directories = [layout.pkiDirectory, ...[etcdHostName, ...hosts].map((host) => layout.host(host).pkiDirectory)];
  for (const directory of directories) await mkdir(directory, { recursive: true, mode: 0o700 });

  const cluster = await createCertificateAuthority("kms-etcd local control plane");
  const etcd = await createCertificateAuthority("kms-etcd local etcd");
  await writeFileAtomically(files.administrator.caFile, cluster.certificate, 0o644);
  await writeFileAtomically(files.etcdAdministrator.caFile, etcd.certificate, 0o644);
  const { publicKey, privateKey } = await createKeyPair();
  const { serviceAccountPublicKeyFile, serviceAccountPrivateKeyFile } = files.apiServer(hosts[0] ?? "");
  await writeFileAtomically(serviceAccountPublicKeyFile, publicKey, 0o644);
  await writeFileAtomically(serviceAccountPrivateKeyFile, privateKey);

  // system:masters: the group that RBAC lets do everything.
  await issueTo(cluster, files.administrator, { commonName: "kms-etcd-admin", organization: "system:masters" });
  await issueTo(etcd, files.etcdAdministrator, { commonName: "kms-etcd-admin" });
  await issueTo(etcd, files.etcdServer, { commonName: "etcd", dnsNames: ["localhost"], ipAddresses: [loopback] });
  for (const host of hosts) {
    const own = files.apiServer(host);
    await issueTo(etcd, own.etcdClient, { commonName: `${host}-kube-apiserver` });
    await issueTo(cluster, own.serving, {
      commonName: "kube-apiserver",
      dnsNames: [...apiServerDnsNames, host],
      // 10.0.0.1: the first address of --service-cluster-ip-range.
      ipAddresses: [loopback, "10.0.0.1"],
    });
  }
  await writeFileAtomically(complete, "");
}

async function issueTo(
  authority: CertificateAuthority,
  files: { readonly certFile: string; readonly keyFile: string },
  request: CertificateRequest,
): Promise<void> {
  const pair = await authority.issue(request);
  await writeFileAtomically(files.certFile, pair.certificate, 0o644);
  await writeFileAtomically(files.keyFile, pair.privateKey);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
