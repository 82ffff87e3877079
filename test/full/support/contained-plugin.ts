/** The plugin's image run by runc as kubelet would run it: read-only root, no capability, no new privileges, as PID 1. */
import { execFileSync, spawn } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageEnvironment } from "../../../plugin-server/image/root-filesystem";
import { type PluginProcess, watchPlugin } from "../../plugin-server/support/plugin-process";

/** The image's own user. */
const user = 65_532;

export interface Containers {
  /** @param directories given to the image's user, and found inside under the same paths. */
  start(rootfs: string, args: readonly string[], directories: readonly string[]): PluginProcess;
}

/** Call it inside a `describe`: all containers are removed after it. */
export function useContainers(): Containers {
  let state = "";
  let count = 0;
  before(() => {
    state = mkdtempSync(join(tmpdir(), "kms-etcd-runc-"));
  });
  after(() => {
    for (let index = 1; index <= count; index++) runc("delete", "--force", name(index));
    rmSync(state, { recursive: true });
  });
  const name = (index: number) => `kms-etcd-${process.pid}-${index}`;
  const runc = (...args: readonly string[]) =>
    execFileSync("runc", ["--root", join(state, "state"), ...args], { stdio: "ignore" });
  return {
    start: (rootfs, args, directories) => {
      for (const directory of directories) chownSync(directory, user, user);
      const id = name(++count);
      const bundle = join(state, id);
      mkdirSync(bundle);
      writeFileSync(join(bundle, "config.json"), JSON.stringify(specification(rootfs, args, directories)));
      const pidFile = join(bundle, "pid");
      const child = spawn(
        "runc",
        ["--root", join(state, "state"), "run", "--pid-file", pidFile, "--bundle", bundle, id],
        {
          stdio: ["ignore", "pipe", "pipe"],
        },
      );
      const plugin = watchPlugin(child, (signal) => runc("kill", id, signal));
      return {
        ...plugin,
        get pid() {
          return Number(readFileSync(pidFile, "utf8"));
        },
      };
    },
  };
}

function specification(rootfs: string, args: readonly string[], directories: readonly string[]): object {
  const none = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] };
  return {
    ociVersion: "1.0.2",
    process: {
      user: { uid: user, gid: user },
      args: ["/kms-etcd-plugin", ...args],
      env: imageEnvironment,
      cwd: "/",
      capabilities: none,
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755", "size=64k"] },
      // The directories' mount points are made in here, not in the image's files.
      { destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "size=64k"] },
      ...directories.map((source) => ({ destination: source, type: "bind", source, options: ["bind", "rw"] })),
    ],
    linux: {
      namespaces: ["pid", "ipc", "uts", "mount", "network"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys"],
      readonlyPaths: ["/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}
