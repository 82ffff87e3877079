/** All external programs of this project, with their versions: the only place that names them. */
import type { Tool, ToolDownload, ToolName } from "./tool";

/** Go's names for where a program runs. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
}

const kubernetesVersion = "1.36.3";
const olderKubernetesVersion = "1.31.0";
const etcdVersion = "3.6.5";
const pulumiVersion = "3.259.0";
const kopsVersion = "1.36.2";
// The long-term release. Later ones need Go modules that are not to be had everywhere.
const prometheusVersion = "3.5.0";

/** The platform of this process. */
export function thisPlatform(): Platform {
  const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
  return { os: process.platform, architecture: architectures[process.arch] ?? process.arch };
}

/** What is known about a tool on a platform. */
export function describeTool(name: ToolName, platform: Platform = thisPlatform()): Tool {
  switch (name) {
    case "kube-apiserver":
      // From 1.34 on an API server tells the hash of the encryption configuration that it has loaded.
      return kubernetesTool(name, name, kubernetesVersion, { atLeast: "1.34.0" }, "5 to 8 minutes", platform);
    case "kube-apiserver-1.31":
      return kubernetesTool(
        name,
        "kube-apiserver",
        olderKubernetesVersion,
        { atLeast: "1.31.0", below: "1.32.0" },
        "5 minutes",
        platform,
      );
    case "kube-controller-manager":
      return kubernetesTool(name, name, kubernetesVersion, { atLeast: "1.34.0" }, "2 minutes", platform);
    case "kubelet":
      return kubernetesTool(name, name, kubernetesVersion, sameMinor, "9 minutes", platform);
    case "kubeadm":
      return kubernetesTool(name, name, kubernetesVersion, sameMinor, "2 minutes", platform);
    case "kubectl":
      return kubernetesTool(name, name, kubernetesVersion, { atLeast: "1.34.0" }, "1 minute", platform);
    case "etcd":
      // Kubernetes 1.34 and later read consistently from their cache only with an etcd of at least this version.
      return etcdTool("etcd", ["--version"], { atLeast: "3.5.13" }, "server", platform);
    case "etcdctl":
      return etcdTool("etcdctl", ["version"], { atLeast: "3.5.0" }, "etcdctl", platform);
    case "etcdutl":
      // It writes a data directory for the etcd of its own minor version.
      return etcdTool("etcdutl", ["version"], { atLeast: "3.6.0", below: "3.7.0" }, "etcdutl", platform);
    case "pulumi":
      return pulumiTool(platform);
    case "prometheus":
    case "promtool":
      return prometheusTool(name, platform);
    case "kops":
      return kopsTool(platform);
  }
}

/** They lay out and run what the pinned API server is part of; both refuse servers of other versions in places. */
const sameMinor = { atLeast: "1.36.0", below: "1.37.0" } as const;

/** Its versions can't be listed, and `go install` asks for a list: hence an exact version in a module of our own. */
function kopsTool(platform: Platform): Tool {
  const url = `https://artifacts.k8s.io/binaries/kops/${kopsVersion}/${platform.os}/${platform.architecture}/kops`;
  return {
    name: "kops",
    program: "kops",
    version: kopsVersion,
    versionArguments: ["version", "--short"],
    // Spec and nodeup configuration are read as this minor version writes them.
    accepted: { atLeast: kopsVersion, below: "1.37.0" },
    ...(["linux", "darwin"].includes(platform.os) && {
      download: { kind: "program", url, checksumUrl: `${url}.sha256` } satisfies ToolDownload,
    }),
    build: {
      module: "kops",
      package: "k8s.io/kops/cmd/kops",
      tags: [],
      linkerFlags: "-s -w",
      languageHost: false,
      minutes: "9 minutes",
    },
  };
}

const versionArguments: Readonly<Record<string, readonly string[]>> = {
  kubectl: ["version", "--client"],
  kubeadm: ["version", "--output=short"],
};

function kubernetesTool(
  name: ToolName,
  program: string,
  version: string,
  accepted: Tool["accepted"],
  minutes: string,
  platform: Platform,
): Tool {
  const url = `https://dl.k8s.io/release/v${version}/bin/${platform.os}/${platform.architecture}/${program}`;
  // All but the client are published for Linux only.
  const published = platform.os === "linux" || program === "kubectl";
  return {
    name,
    program,
    version,
    versionArguments: versionArguments[program] ?? ["--version"],
    accepted,
    ...(published && { download: { kind: "program", url, checksumUrl: `${url}.sha256` } satisfies ToolDownload }),
    build: {
      module: version === kubernetesVersion ? "kubernetes" : "kubernetes-1.31",
      package: `k8s.io/kubernetes/cmd/${program}`,
      tags: [],
      linkerFlags: `-s -w -X k8s.io/component-base/version.gitVersion=v${version}`,
      languageHost: false,
      minutes,
    },
  };
}

function etcdTool(
  name: "etcd" | "etcdctl" | "etcdutl",
  versionArguments: readonly string[],
  accepted: Tool["accepted"],
  goModule: string,
  platform: Platform,
): Tool {
  const folder = `etcd-v${etcdVersion}-${platform.os}-${platform.architecture}`;
  const releases = `https://github.com/etcd-io/etcd/releases/download/v${etcdVersion}`;
  return {
    name,
    program: name,
    version: etcdVersion,
    versionArguments,
    accepted,
    // macOS gets a .zip.
    ...(platform.os === "linux" && {
      download: {
        kind: "archive",
        url: `${releases}/${folder}.tar.gz`,
        checksumUrl: `${releases}/SHA256SUMS`,
        folder,
        files: [name],
      } satisfies ToolDownload,
    }),
    build: {
      module: "etcd",
      package: `go.etcd.io/etcd/${goModule}/v3`,
      tags: [],
      linkerFlags: "-s -w",
      languageHost: false,
      minutes: "1 minute",
    },
  };
}

function pulumiTool(platform: Platform): Tool {
  const architecture = platform.architecture === "amd64" ? "x64" : platform.architecture;
  const releases = "https://get.pulumi.com/releases/sdk";
  return {
    name: "pulumi",
    program: "pulumi",
    version: pulumiVersion,
    versionArguments: ["version"],
    // The oldest SDK that the components support.
    accepted: { atLeast: "3.221.0" },
    ...(["linux", "darwin"].includes(platform.os) && {
      download: {
        kind: "archive",
        url: `${releases}/pulumi-v${pulumiVersion}-${platform.os}-${architecture}.tar.gz`,
        checksumUrl: `${releases}/pulumi-${pulumiVersion}-checksums.txt`,
        folder: "pulumi",
        files: [],
      } satisfies ToolDownload,
    }),
    build: {
      module: "pulumi",
      package: "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
      tags: ["osusergo", "grpcnotrace"],
      linkerFlags: `-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${pulumiVersion}`,
      languageHost: true,
      minutes: "7 minutes",
    },
  };
}

/** Checks alert rules and evaluates their expressions, in tests alone. */
function prometheusTool(name: "prometheus" | "promtool", platform: Platform): Tool {
  const folder = `prometheus-${prometheusVersion}.${platform.os}-${platform.architecture}`;
  const releases = `https://github.com/prometheus/prometheus/releases/download/v${prometheusVersion}`;
  return {
    name,
    program: name,
    version: prometheusVersion,
    versionArguments: ["--version"],
    accepted: { atLeast: "2.42.0" },
    download: {
      kind: "archive",
      url: `${releases}/${folder}.tar.gz`,
      checksumUrl: `${releases}/sha256sums.txt`,
      folder,
      files: [name],
    },
    build: {
      module: "prometheus",
      package: `github.com/prometheus/prometheus/cmd/${name}`,
      // The project numbers its Go module 0.3xx.y where the program is 3.xx.y.
      moduleVersion: "0.305.0",
      tags: [],
      linkerFlags: `-s -w -X github.com/prometheus/common/version.Version=${prometheusVersion}`,
      languageHost: false,
      minutes: "3 minutes",
    },
  };
}
