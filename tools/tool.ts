/** What is known about an external program: how to recognise it, where to get it, how to build it. */

export const toolNames = [
  "kube-apiserver",
  "kube-apiserver-1.31",
  "kube-controller-manager",
  "kubectl",
  "kubelet",
  "kubeadm",
  "etcd",
  "etcdctl",
  "etcdutl",
  "pulumi",
  "prometheus",
  "promtool",
  "kops",
] as const;

export type ToolName = (typeof toolNames)[number];

/** How a checksum file and a program are published together. */
export type ToolDownload =
  /** The program itself; the checksum file holds its SHA-256 and nothing else. */
  | { readonly kind: "program"; readonly url: string; readonly checksumUrl: string }
  /** A .tar.gz; the checksum file has a line `<sha256>  <file name>` for it. `members` are the files to take, by path inside. */
  | {
      readonly kind: "archive";
      readonly url: string;
      readonly checksumUrl: string;
      /** Folder inside the archive whose files become the tool's. */
      readonly folder: string;
      /** File names to take from it; empty: all. */
      readonly files: readonly string[];
    };

export interface ToolBuild {
  /** Folder under `tools/go` with the pinned go.mod and go.sum. */
  readonly module: string;
  readonly package: string;
  /** Of the Go module, where it is not the program's. */
  readonly moduleVersion?: string;
  readonly tags: readonly string[];
  readonly linkerFlags: string;
  /** Whether our stand-in for Pulumi's Node.js language host goes beside the program. */
  readonly languageHost: boolean;
  /** What a cold build costs, for the progress line. */
  readonly minutes: string;
}

export interface Tool {
  readonly name: ToolName;
  /** File name of the program. */
  readonly program: string;
  /** The version that is downloaded and built. */
  readonly version: string;
  /** Arguments that make it print its version. */
  readonly versionArguments: readonly string[];
  /** Which versions are good enough where the program is found on this machine. */
  readonly accepted: { readonly atLeast: string; readonly below?: string };
  /** Absent where nothing is published for this platform. */
  readonly download?: ToolDownload;
  readonly build: ToolBuild;
}
