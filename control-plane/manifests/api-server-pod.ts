/** The static pod that runs one API server. */
import { stringify } from "yaml";
import type { ApiServerFiles } from "../pki/control-plane-pki";
import { apiServerPodName } from "../state-layout";

export interface ApiServerPodOptions {
  readonly binary: string;
  readonly port: number;
  readonly etcdPort: number;
  readonly files: ApiServerFiles;
  readonly encryptionConfigFile: string;
  readonly automaticReload: boolean;
  readonly requestTimeoutSeconds: number;
  /** Flags after ours. Of a flag that is given twice, kube-apiserver takes the last. */
  readonly extraArguments: readonly string[];
}

/** The manifest's text. */
export function apiServerPod(options: ApiServerPodOptions): string {
  const { files } = options;
  return stringify(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: apiServerPodName, namespace: "kube-system" },
      spec: {
        hostNetwork: true,
        terminationGracePeriodSeconds: 30,
        containers: [
          {
            name: apiServerPodName,
            command: [
              options.binary,
              `--etcd-servers=https://127.0.0.1:${options.etcdPort}`,
              `--etcd-cafile=${files.etcdClient.caFile}`,
              `--etcd-certfile=${files.etcdClient.certFile}`,
              `--etcd-keyfile=${files.etcdClient.keyFile}`,
              "--bind-address=127.0.0.1",
              "--advertise-address=127.0.0.1",
              `--secure-port=${options.port}`,
              `--tls-cert-file=${files.serving.certFile}`,
              `--tls-private-key-file=${files.serving.keyFile}`,
              `--client-ca-file=${files.serving.clientCaFile}`,
              "--authorization-mode=RBAC",
              "--service-cluster-ip-range=10.0.0.0/24",
              "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
              `--service-account-key-file=${files.serviceAccountPublicKeyFile}`,
              `--service-account-signing-key-file=${files.serviceAccountPrivateKeyFile}`,
              `--encryption-provider-config=${options.encryptionConfigFile}`,
              `--encryption-provider-config-automatic-reload=${options.automaticReload}`,
              `--request-timeout=${options.requestTimeoutSeconds}s`,
              // There is no kubelet, no controller manager and no network of pods: what needs them is off.
              "--endpoint-reconciler-type=none",
              "--enable-garbage-collector=false",
              "--disable-admission-plugins=ServiceAccount",
              ...options.extraArguments,
            ],
          },
        ],
      },
    },
    { lineWidth: 0 },
  );
}
