/**
 * The pod in which AKS runs a command: a shell with kubectl, jq, xargs, grep and awk, and a service account that administers the cluster.
 * What it prints is cut at 512 kB (articles/aks/access-private-cluster.md of Azure's documentation).
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findTool } from "../../../tools/find-tool";

const mostOutput = 512 * 1024;

export async function runInShell(
  command: string,
  kubeconfig: string,
): Promise<{ readonly exitCode: number; readonly logs: string }> {
  const kubectl = await findTool("kubectl");
  const directory = mkdtempSync(join(tmpdir(), "aks-command-"));
  const file = join(directory, "kubeconfig");
  writeFileSync(file, kubeconfig, { mode: 0o600 });
  try {
    // In a directory of its own, as in a container: what it leaves behind goes with it.
    const child = spawn("sh", ["-c", command], {
      cwd: directory,
      env: { PATH: `${dirname(kubectl.path)}:/usr/bin:/bin`, KUBECONFIG: file, HOME: directory, TMPDIR: directory },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let logs = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (logs += chunk.toString()));
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve(code ?? 137));
    });
    return { exitCode, logs: logs.slice(0, mostOutput) };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
