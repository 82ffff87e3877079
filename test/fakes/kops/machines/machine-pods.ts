/**
 * What a kOps machine runs besides its API server: read as nodeup and the kubelet read it, from the nodeup configuration that the real kops
 * has put into its store. Shares no code with the engine, whose file assets these are.
 */
import { parse } from "yaml";

/** As far as a machine here looks at it (kops pkg/apis/nodeup/config.go). */
export interface NodeupConfig {
  readonly APIServerConfig?: {
    readonly EncryptionConfigSecretHash?: string;
    readonly ServiceAccountPublicKeys?: string;
    readonly KubeAPIServer?: {
      readonly securePort?: number;
      readonly featureGates?: Readonly<Record<string, string>>;
    };
  };
  /** Certificates to trust and the keypair that issues, by keyset. */
  readonly CAs?: Readonly<Record<string, string>>;
  readonly KeypairIDs?: Readonly<Record<string, string>>;
  readonly FileAssets?: readonly { readonly path: string; readonly content: string; readonly isBase64?: boolean }[];
  readonly Hooks?: unknown;
}

export interface MachinePod {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly priorityClassName: string | undefined;
  readonly image: string;
  /** `command` and `args` of its only container. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  /** Folders of the machine, and where the container sees them. */
  readonly mounts: readonly { readonly hostPath: string; readonly mountPath: string }[];
  readonly readiness: { readonly path: string; readonly port: number } | undefined;
}

const manifestFolder = "/etc/kubernetes/manifests/";

/** Throws for what would keep nodeup from finishing, and the machine from joining. */
export function readNodeup(text: string): NodeupConfig {
  return (parse(text) ?? {}) as NodeupConfig;
}

/** CAs that a worker is started with: its user data has them, because it takes everything else from kops-controller. */
export function bootAuthorities(userData: string): string {
  const text = /^cat > conf\/kube_env\.yaml << '__EOF_KUBE_ENV'\n(.*?)^__EOF_KUBE_ENV$/ms.exec(userData)?.[1] ?? "";
  const { ConfigServer } = (parse(text) ?? {}) as { ConfigServer?: { CACertificates?: string } };
  return ConfigServer?.CACertificates ?? "";
}

/** Static pods among the file assets. */
export function staticPods({ FileAssets = [] }: NodeupConfig): readonly MachinePod[] {
  return FileAssets.filter(({ path }) => path.startsWith(manifestFolder)).map(({ content, isBase64 }) =>
    readPod(isBase64 === true ? decode(content) : content),
  );
}

/** Whether a hook edits the API server's manifest so that it sees this folder of the machine. */
export function isMountedByHook({ Hooks }: NodeupConfig, folder: string): boolean {
  return JSON.stringify(Hooks ?? []).includes(folder);
}

function readPod(text: string): MachinePod {
  const { metadata, spec } = parse(text) as Pod;
  const [container, ...others] = spec.containers;
  if (container === undefined || others.length > 0) throw new Error(`${metadata.name} has not one container`);
  const { httpGet } = container.readinessProbe ?? {};
  return {
    name: metadata.name,
    labels: metadata.labels ?? {},
    priorityClassName: spec.priorityClassName,
    image: container.image,
    command: container.command ?? [],
    args: container.args ?? [],
    mounts: (container.volumeMounts ?? []).map(({ name, mountPath }) => {
      const hostPath = spec.volumes?.find((volume) => volume.name === name)?.hostPath?.path;
      if (hostPath === undefined) throw new Error(`${metadata.name} has no volume ${name} of the machine`);
      return { hostPath, mountPath };
    }),
    readiness: httpGet && { path: httpGet.path, port: httpGet.port },
  };
}

/** Go's RawStdEncoding, which nodeup uses: padding is an error. */
function decode(text: string): string {
  if (text.includes("=")) throw new Error("nodeup: unable to decode base64");
  return Buffer.from(text, "base64").toString("utf8");
}

interface Pod {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly priorityClassName?: string;
    readonly containers: readonly {
      readonly image: string;
      readonly command?: readonly string[];
      readonly args?: readonly string[];
      readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
      readonly readinessProbe?: { readonly httpGet?: { readonly path: string; readonly port: number } };
    }[];
    readonly volumes?: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
  };
}
