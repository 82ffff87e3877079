/**
 * The kubeconfig that `kops export kubecfg` makes. kops writes it into a file and nowhere else (a pipe is refused: it reads the file
 * first), so it gets a folder of its own in memory where there is such a file system, mode 0700, which is gone when the text is read.
 */
import { access, constants, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import { clusterArguments, type KopsPlace, succeed } from "../kops/kops-commands";
import type { RunKopsCommand } from "../kops/kops-process";

export interface ExportOptions extends KopsPlace {
  readonly run: RunKopsCommand;
}

/** Lifetime of the admin credential in it, as Go writes durations; undefined: it holds no credentials at all. */
export async function exportKubeconfig(
  options: ExportOptions,
  adminFor: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const directory = await mkdtemp(join(await memoryDirectory(), "kms-etcd-"));
  const file = join(directory, "kubeconfig");
  try {
    const admin = adminFor === undefined ? [] : [`--admin=${adminFor}`];
    const args = ["export", "kubeconfig", ...clusterArguments(options), "--kubeconfig", file, ...admin];
    await succeed(options.run, { args, timeoutMs: limitMs, signal });
    return await readFile(file, "utf8");
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The certificates that a client with this kubeconfig trusts, in PEM. */
export function certificateAuthority(kubeconfig: string): string {
  const { clusters } = parse(kubeconfig) as {
    readonly clusters?: readonly { readonly cluster?: Readonly<Record<string, string>> }[];
  };
  const data = clusters?.[0]?.cluster?.["certificate-authority-data"];
  if (data !== undefined) return Buffer.from(data, "base64").toString("utf8");
  throw new KmsEtcdError("unsupported", "kops exported a kubeconfig without certificate-authority-data", {
    remedy: "use a kops of the cluster's own minor version",
  });
}

const limitMs = 2 * 60_000;

async function memoryDirectory(): Promise<string> {
  const memory = "/dev/shm";
  return access(memory, constants.W_OK).then(
    () => memory,
    () => tmpdir(),
  );
}
