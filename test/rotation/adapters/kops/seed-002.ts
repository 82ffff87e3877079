/** A cluster set up by hand after seed 002 and the upstream guide for kOps of its time: plugin, mount by a hook, KMS v1. */
import { stringify } from "yaml";
import type { KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";

/** The seed's second manifest, with the indentation that the page has lost. */
export const seedManifest = `apiVersion: v1
kind: Pod
metadata:
  name: aws-encryption-provider
  namespace: kube-system
spec:
  containers:
  - image: 111122223333.dkr.ecr.us-west-2.amazonaws.com/aws-encryption-provider:v0.0.1
    name: aws-encryption-provider
    command:
    - /aws-encryption-provider
    - --key=arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
    - --region=us-west-2
    - --listen=/var/run/kmsplugin/socket.sock
    - --health-port=:8083
    ports:
    - containerPort: 8083
      protocol: TCP
    livenessProbe:
      httpGet:
        path: /healthz
        port: 8083
    volumeMounts:
    - mountPath: /var/run/kmsplugin
      name: var-run-kmsplugin
  hostNetwork: true
  volumes:
  - name: var-run-kmsplugin
    hostPath:
      path: /var/run/kmsplugin
      type: DirectoryOrCreate
`;

/** The seed's first configuration: KMS v1, because it names no version. */
export const seedConfiguration = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources:
  - secrets
  providers:
  - kms:
      name: aws-encryption-provider
      endpoint: unix:///var/run/kmsplugin/socket.sock
      cachesize: 1000
      timeout: 3s
  - identity: {}
`;

export const mountHook = {
  name: "mount-kmsplugin",
  before: ["kubelet.service"],
  roles: ["Master"],
  manifest:
    "Type=oneshot\nExecStart=/bin/sh -c 'sed -i s#volumeMounts:#volumeMounts:\\n- {mountPath: /var/run/kmsplugin, name: kmsplugin}# /etc/kubernetes/manifests/kube-apiserver.manifest'",
};

export function seedCluster(roles: readonly string[] = ["ControlPlane"]): KopsCluster {
  return {
    apiVersion: "kops.k8s.io/v1alpha2",
    kind: "Cluster",
    metadata: { name: "e2e.k8s.local", creationTimestamp: "2026-01-02T03:04:05Z" },
    spec: {
      kubernetesVersion: "1.36.0",
      channel: "none",
      api: { loadBalancer: { class: "Network", type: "Public" } },
      encryptionConfig: true,
      additionalPolicies: {
        master: '[{"Effect": "Allow", "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": ["*"]}]',
      },
      fileAssets: [
        { name: "motd", path: "/etc/motd", content: "hello\n" },
        {
          name: "aws-encryption-provider.yaml",
          path: "/etc/kubernetes/manifests/aws-encryption-provider.yaml",
          roles: [...roles],
          content: seedManifest,
        },
      ],
      hooks: [mountHook, { name: "tune", manifest: "Type=oneshot\nExecStart=/sbin/sysctl -w vm.max_map_count=262144" }],
      iam: { allowContainerRegistry: true, legacy: false },
    },
  };
}

/** As a person would look at it, for golden files. */
export function asYaml(cluster: KopsCluster): string {
  return stringify(cluster, { lineWidth: 0 });
}
