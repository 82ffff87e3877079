/** What machines with kubelets need of this one. */
import { existsSync } from "node:fs";
import { whyNoSshServer } from "../../../support/ssh-server";
import { haveProgram } from "../debian-program";

const programs = [
  ["unshare", "util-linux"],
  ["nsenter", "util-linux"],
  ["ip", "iproute2"],
  ["ssh", "openssh-client"],
  ["containerd", "containerd"],
  ["ctr", "containerd"],
  ["runc", "runc"],
] as const;

/** The reason why there can be none here; undefined where there can. Installs what is missing where it may. */
export async function whyNoKubelets(): Promise<string | undefined> {
  if (process.platform !== "linux" || process.geteuid?.() !== 0)
    return "kubelets and their containers need root on Linux";
  if (!existsSync("/sys/fs/cgroup")) return "there are no control groups";
  for (const [program, debianPackage] of programs) {
    if (!(await haveProgram(program, debianPackage))) return `there is no ${program}`;
  }
  return whyNoSshServer();
}
