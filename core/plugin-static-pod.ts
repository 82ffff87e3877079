/**
 * The static pod of one KMS plugin instance on a real control-plane host, as a document for a YAML or JSON writer. Names,
 * labels, mounts, probes and flags are those of the upstream plugins' own manifests, so that what people know of them holds.
 * Pure, because components render it too.
 */
import { dirname } from "node:path";
import { KmsEtcdError } from "./errors";
import { describeKey, type KeyReference } from "./key-reference";
import { PluginFlavour } from "./plugin-flavour";
import { longestSocketPath, staticPodAnnotations } from "./static-pod";

/** What is the same for every instance of a cluster. It stands in clear in manifests: it names secrets by file and holds none. */
export interface PluginPodSettings {
  /** Pinned by digest, so that all hosts run the same program. */
  readonly image: string;
  /** @default KmsEtcd */
  readonly flavour?: PluginFlavour;
  /** In the place of the image's entry point. */
  readonly command?: readonly string[];
  /** Flags after ours. */
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Files of the host that the plugin reads: certificates, credentials. Mounted read-only at the same path. */
  readonly files?: readonly string[];
  /** Azure's cloud configuration on the hosts, with the way of authenticating. @default /etc/kubernetes/azure.json */
  readonly azureConfigFile?: string;
  /** Address of AWS KMS. @default the region's own */
  readonly awsEndpoint?: string;
}

/** Ports on the host: the pod uses the host's network, as it must run before there is another. */
export interface PluginPorts {
  readonly health: number;
  readonly metrics: number;
}

export interface PluginPodInstance {
  readonly name: string;
  readonly key: KeyReference;
  /** On the host, and the same inside. */
  readonly socketPath: string;
  readonly ports: PluginPorts;
}

/** Where the upstream plugins' manifests begin to count; a second instance beside the first has the next ones. */
export function firstPluginPorts(key: KeyReference): PluginPorts {
  return key.kind === "aws" ? { health: 8083, metrics: 8095 } : { health: 8787, metrics: 8095 };
}

/** Throws `invalid-input` for a key that the flavour, or a flag, cannot express. */
export function pluginStaticPod(instance: PluginPodInstance, settings: PluginPodSettings): Record<string, unknown> {
  refuseLongPath(instance.socketPath);
  const parts = partsOf(instance, settings);
  const environment = Object.entries(settings.environment ?? {}).map(([name, value]) => ({ name, value }));
  const mounts = [
    ...parts.mounts,
    ...(settings.files ?? []).map((path, index) => fileMount(`file-${index + 1}`, path)),
  ];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: instance.name,
      namespace: "kube-system",
      labels: { tier: "control-plane", component: parts.component },
      annotations: { [staticPodAnnotations.key]: describeKey(instance.key) },
    },
    spec: {
      priorityClassName: "system-node-critical",
      hostNetwork: true,
      terminationGracePeriodSeconds: 10,
      containers: [
        {
          name: parts.component,
          image: settings.image,
          imagePullPolicy: "IfNotPresent",
          ...commandOf(settings.command ?? parts.command),
          args: [...parts.args, ...(settings.arguments ?? [])],
          ...(environment.length === 0 ? {} : { env: environment }),
          securityContext: {
            allowPrivilegeEscalation: false,
            capabilities: { drop: ["ALL"] },
            readOnlyRootFilesystem: true,
            // azure.json is root's alone on most hosts, and so is the directory of the sockets.
            runAsUser: 0,
          },
          ports: [{ containerPort: instance.ports.health, protocol: "TCP" }],
          ...parts.probes,
          resources: parts.resources,
          volumeMounts: mounts.map(({ name, path, readOnly }) => ({
            name,
            mountPath: path,
            ...(readOnly && { readOnly: true }),
          })),
        },
      ],
      volumes: mounts.map(({ name, path, type }) => ({
        name,
        hostPath: { path, ...(type !== undefined && { type }) },
      })),
    },
  };
}

interface Mount {
  readonly name: string;
  readonly path: string;
  readonly readOnly: boolean;
  readonly type?: "File" | "DirectoryOrCreate";
}

interface Parts {
  readonly component: string;
  readonly command?: readonly string[];
  readonly args: readonly string[];
  readonly probes: Readonly<Record<string, unknown>>;
  readonly resources: Readonly<Record<string, unknown>>;
  readonly mounts: readonly Mount[];
}

function partsOf(instance: PluginPodInstance, settings: PluginPodSettings): Parts {
  switch (settings.flavour ?? PluginFlavour.KmsEtcd) {
    case PluginFlavour.KmsEtcd:
      return ownParts(instance, settings);
    case PluginFlavour.AzureKubernetesKms:
      return azureUpstreamParts(instance, settings);
    case PluginFlavour.AwsEncryptionProvider:
      return awsUpstreamParts(instance, settings);
  }
}

const defaultAzureConfig = "/etc/kubernetes/azure.json";
const components = { azure: "azure-kms-provider", aws: "aws-encryption-provider", local: "kms-etcd-plugin" } as const;

/** Only the kubelet of this very host asks it. */
function ownParts({ key, socketPath, ports }: PluginPodInstance, settings: PluginPodSettings): Parts {
  const azureConfig = settings.azureConfigFile ?? defaultAzureConfig;
  const own: Record<KeyReference["kind"], () => Pick<Parts, "args"> & { readonly file?: string }> = {
    azure: () => ({
      args: [
        "azure",
        ...azureKeyFlags(key),
        `--listen-addr=unix://${socketPath}`,
        `--config-file-path=${azureConfig}`,
        `--healthz-port=127.0.0.1:${ports.health}`,
        `--metrics-addr=127.0.0.1:${ports.metrics}`,
        "-v=2",
      ],
      file: azureConfig,
    }),
    aws: () => ({
      args: [
        "aws",
        ...awsKeyFlags(key),
        `--listen=${socketPath}`,
        `--health-port=127.0.0.1:${ports.health}`,
        ...(settings.awsEndpoint === undefined ? [] : [`--kms-endpoint=${settings.awsEndpoint}`]),
      ],
    }),
    local: () => {
      const file = key.kind === "local" ? key.file : "";
      return {
        args: [
          "local",
          `--key-file=${file}`,
          `--listen-addr=unix://${socketPath}`,
          `--healthz-port=127.0.0.1:${ports.health}`,
          "-v=2",
        ],
        file,
      };
    },
  };
  const { args, file } = own[key.kind]();
  const probe = (path: string, periodSeconds: number) => ({
    httpGet: { host: "127.0.0.1", path, port: ports.health },
    periodSeconds,
    timeoutSeconds: 5,
    failureThreshold: 3,
  });
  return {
    component: components[key.kind],
    args,
    // That the cloud does not answer is no reason to restart the plugin: it would only take longer to come back.
    probes: { livenessProbe: probe("/livez", 10), readinessProbe: probe("/healthz", 30) },
    resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
    mounts: [...(file === undefined ? [] : [fileMount("configuration", file)]), socketMount(socketPath)],
  };
}

/** As its own manifest has it. The metrics port is named too: with its default a second instance would not start. */
function azureUpstreamParts({ key, socketPath, ports }: PluginPodInstance, settings: PluginPodSettings): Parts {
  const config = settings.azureConfigFile ?? defaultAzureConfig;
  const inKubernetes = config.startsWith("/etc/kubernetes/");
  return {
    component: components.azure,
    args: [
      `--listen-addr=unix://${socketPath}`,
      ...azureKeyFlags(key, true),
      ...(config === defaultAzureConfig ? [] : [`--config-file-path=${config}`]),
      "--log-format-json=false",
      `--healthz-port=${ports.health}`,
      "--healthz-path=/healthz",
      "--healthz-timeout=20s",
      `--metrics-addr=${ports.metrics}`,
      "-v=1",
    ],
    probes: {
      // Its health check calls the vault six times; the kubelet's own limit of one second would kill it for a slow vault.
      livenessProbe: {
        httpGet: { path: "/healthz", port: ports.health },
        failureThreshold: 2,
        periodSeconds: 10,
        timeoutSeconds: 20,
      },
    },
    resources: { requests: { cpu: "100m", memory: "128Mi" }, limits: { cpu: "4", memory: "2Gi" } },
    mounts: [
      { name: "etc-kubernetes", path: inKubernetes ? "/etc/kubernetes" : dirname(config), readOnly: true },
      { name: "etc-ssl", path: "/etc/ssl", readOnly: true },
      socketMount(socketPath),
    ],
  };
}

function awsUpstreamParts({ key, socketPath, ports }: PluginPodInstance, settings: PluginPodSettings): Parts {
  return {
    component: components.aws,
    command: ["/aws-encryption-provider"],
    args: [
      ...awsKeyFlags(key),
      `--listen=${socketPath}`,
      // 8080, its default, is often taken on a host's network.
      `--health-port=:${ports.health}`,
      ...(settings.awsEndpoint === undefined ? [] : [`--kms-endpoint=${settings.awsEndpoint}`]),
    ],
    probes: { livenessProbe: { httpGet: { path: "/healthz", port: ports.health }, timeoutSeconds: 5 } },
    resources: { requests: { cpu: "100m", memory: "64Mi" } },
    mounts: [socketMount(socketPath)],
  };
}

function azureKeyFlags(key: KeyReference, always = false): readonly string[] {
  if (key.kind !== "azure") throw otherKey(key, "Azure Key Vault");
  return [
    `--keyvault-name=${key.vaultName}`,
    `--key-name=${key.keyName}`,
    `--key-version=${key.keyVersion}`,
    ...(key.managedHsm === true || always ? [`--managed-hsm=${key.managedHsm === true}`] : []),
  ];
}

function awsKeyFlags(key: KeyReference): readonly string[] {
  if (key.kind !== "aws") throw otherKey(key, "AWS KMS");
  const context = Object.entries(key.encryptionContext ?? {});
  const unwritable = context.find(([name, value]) => /[,=]/.test(name) || value.includes(","));
  if (unwritable !== undefined) {
    throw new KmsEtcdError(
      "invalid-input",
      `the encryption context's entry ${unwritable[0]} has a comma, or an equals sign in its name, which the plugin's flag cannot express`,
      { remedy: "choose another name or value" },
    );
  }
  const pairs = context.map(([name, value]) => `${name}=${value}`).join(",");
  return [`--key=${key.keyArn}`, `--region=${key.region}`, ...(pairs === "" ? [] : [`--encryption-context=${pairs}`])];
}

function otherKey(key: KeyReference, wanted: string): KmsEtcdError {
  return new KmsEtcdError(
    "invalid-input",
    `the plugin's image is for keys in ${wanted}, and ${describeKey(key)} is none`,
    {
      remedy: "leave plugin.flavour out and give this package's image, which is for every kind of key",
    },
  );
}

/** An image's entry point stays where nothing is said. */
function commandOf(command: readonly string[] | undefined) {
  return command === undefined ? {} : { command };
}

function fileMount(name: string, path: string): Mount {
  return { name, path, readOnly: true, type: "File" };
}

/** The directory: a socket that is mounted by itself would stay the old one when its plugin starts anew. */
function socketMount(socketPath: string): Mount {
  return { name: "sock", path: dirname(socketPath), readOnly: false, type: "DirectoryOrCreate" };
}

function refuseLongPath(socketPath: string): void {
  if (Buffer.byteLength(socketPath) <= longestSocketPath) return;
  throw new KmsEtcdError(
    "invalid-input",
    `${socketPath} is longer than the ${longestSocketPath} bytes of a unix socket's path`,
    { remedy: "choose a shorter directory for the sockets" },
  );
}
