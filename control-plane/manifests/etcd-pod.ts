/** The static pod that runs etcd. */
import { stringify } from "yaml";
import type { ServerFiles } from "../pki/control-plane-pki";
import { etcdPodName } from "../state-layout";

export interface EtcdPodOptions {
  readonly binary: string;
  readonly dataDirectory: string;
  readonly clientPort: number;
  readonly peerPort: number;
  readonly tls: ServerFiles;
  readonly unsafeNoFsync: boolean;
  /** Flags after ours. Of a flag that is given twice, etcd takes the last. */
  readonly extraArguments: readonly string[];
}

/** The manifest's text. */
export function etcdPod(options: EtcdPodOptions): string {
  const { tls } = options;
  const clientUrl = `https://127.0.0.1:${options.clientPort}`;
  const peerUrl = `https://127.0.0.1:${options.peerPort}`;
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: etcdPodName, namespace: "kube-system" },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 15,
        containers: [
          {
            name: etcdPodName,
            command: [
              options.binary,
              "--name=etcd",
              `--data-dir=${options.dataDirectory}`,
              `--listen-client-urls=${clientUrl}`,
              `--advertise-client-urls=${clientUrl}`,
              `--listen-peer-urls=${peerUrl}`,
              `--initial-advertise-peer-urls=${peerUrl}`,
              `--initial-cluster=etcd=${peerUrl}`,
              "--client-cert-auth=true",
              `--trusted-ca-file=${tls.clientCaFile}`,
              `--cert-file=${tls.certFile}`,
              `--key-file=${tls.keyFile}`,
              "--peer-client-cert-auth=true",
              `--peer-trusted-ca-file=${tls.clientCaFile}`,
              `--peer-cert-file=${tls.certFile}`,
              `--peer-key-file=${tls.keyFile}`,
              "--log-level=warn",
              ...(options.unsafeNoFsync ? ["--unsafe-no-fsync=true"] : []),
              ...options.extraArguments,
            ],
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}
