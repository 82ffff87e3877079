/** containerd and a kubelet on a machine, with what differs from their defaults because the machine is namespaces. */
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import type { ArchivedImage } from "./images";
import type { Machine } from "./machine";
import { addressOf } from "./machine-network";

const containerdConfig = (pauseImage: string) => `version = 2
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper","io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.aufs","io.containerd.internal.v1.opt"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # A machine like this may lack CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  disable_apparmor = true
  disable_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;

/** What kubeadm's own has, and what differs because there is no systemd, perhaps cgroup v1, and no network of pods. */
const kubeletConfig = (controlGroup: string) => ({
  apiVersion: "kubelet.config.k8s.io/v1beta1",
  kind: "KubeletConfiguration",
  staticPodPath: "/etc/kubernetes/manifests",
  containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
  authentication: {
    anonymous: { enabled: false },
    webhook: { enabled: false },
    x509: { clientCAFile: "/etc/kubernetes/pki/ca.crt" },
  },
  authorization: { mode: "AlwaysAllow" },
  cgroupDriver: "cgroupfs",
  cgroupRoot: `/${controlGroup}`,
  failCgroupV1: false,
  enforceNodeAllocatable: [],
  failSwapOn: false,
  makeIPTablesUtilChains: false,
  localStorageCapacityIsolation: false,
  oomScoreAdj: 0,
  // The machine's disk is this one's, however full that is.
  evictionHard: {
    "memory.available": "10Mi",
    "nodefs.available": "1%",
    "nodefs.inodesFree": "1%",
    "imagefs.available": "1%",
  },
  imageGCHighThresholdPercent: 100,
  imageGCLowThresholdPercent: 99,
  volumePluginDir: "/var/lib/kubelet/volumeplugins",
});

/** Returns when containerd answers. */
export async function startContainerd(machine: Machine, pauseImage: string): Promise<void> {
  writeFileSync(machine.outside("/etc/kubernetes/containerd.toml"), containerdConfig(pauseImage));
  await machine.start("containerd", ["--config", "/etc/kubernetes/containerd.toml"]);
  for (;;) {
    const answers = await machine.run("ctr", ["version"]).then(
      () => true,
      () => false,
    );
    if (answers) return;
    await delay(200);
  }
}

export async function importImage(machine: Machine, { file, repository }: ArchivedImage): Promise<void> {
  await machine.run("ctr", ["--namespace=k8s.io", "images", "import", "--digests", `--base-name=${repository}`, file]);
}

export async function startKubelet(
  machine: Machine,
  { kubelet, index, controlGroup }: { readonly kubelet: string; readonly index: number; readonly controlGroup: string },
): Promise<void> {
  for (const hierarchy of hierarchies()) mkdirSync(join(hierarchy, controlGroup), { recursive: true });
  writeFileSync(machine.outside("/var/lib/kubelet/config.yaml"), stringify(kubeletConfig(controlGroup)));
  await machine.start(kubelet, [
    "--config=/var/lib/kubelet/config.yaml",
    "--kubeconfig=/etc/kubernetes/kubelet.conf",
    `--node-ip=${addressOf(index)}`,
    "-v=2",
  ]);
}

/** Of version 1, one each; of version 2, the only one; of both, where a machine has both. */
function hierarchies(): readonly string[] {
  const root = "/sys/fs/cgroup";
  const entries = readdirSync(root, { withFileTypes: true });
  if (entries.some(({ name }) => name === "cgroup.controllers")) return [root];
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(root, name));
}

/** Of clusters whose test was ended before it could clean up. */
export async function removeAbandonedControlGroups(): Promise<void> {
  for (const hierarchy of hierarchies()) {
    for (const name of readdirSync(hierarchy)) {
      const pid = /^kms-etcd-(\d+)-cp\d+$/.exec(name)?.[1];
      if (pid !== undefined && !existsSync(`/proc/${pid}`)) await removeGroup(join(hierarchy, name));
    }
  }
}

/** When their processes have ended: control groups are the one thing that does not go with a machine. */
export async function removeControlGroups(controlGroup: string): Promise<void> {
  for (const hierarchy of hierarchies()) await removeGroup(join(hierarchy, controlGroup));
}

async function removeGroup(directory: string): Promise<void> {
  let below: readonly string[];
  try {
    below = readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return; // it was never made
  }
  for (const name of below) await removeGroup(join(directory, name));
  for (let tries = 1; ; tries += 1) {
    try {
      rmdirSync(directory);
      return;
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      if (code === "ENOENT") return;
      // The kernel takes a moment with processes that have been killed.
      if (code !== "EBUSY" || tries === 100) throw thrown;
      await delay(100);
    }
  }
}
