/** The command line in this process, on a simulated cluster, with key files of its own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatLocalKeyFile } from "../../../core/local-key-file";
import type { SelfManagedCluster } from "../../../core/self-managed-cluster";
import { runCli } from "../../../rotation/cli/program";
import type { Cluster } from "../../../rotation/cluster";
import type { AloneBy } from "../../../rotation/run-alone";
import type { SimulatedCluster } from "../simulated-cluster";

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SimulatedCli {
  readonly directory: string;
  /** `--control-plane` and two keys, for commands that need no other settings. */
  readonly settings: readonly string[];
  keyFile(version: number): string;
  run(...args: string[]): Promise<CliResult>;
  /** Parsed stdout of a command with --json. */
  json(...args: string[]): Promise<{ code: number; document: Record<string, unknown> }>;
  close(): void;
}

export function simulatedCli(
  cluster: SimulatedCluster,
  more: { readonly alone?: AloneBy; readonly signal?: AbortSignal; readonly selfManaged?: SelfManagedCluster } = {},
): SimulatedCli {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-cli-"));
  mkdirSync(join(directory, "keys"));
  const keyFile = (version: number) => join(directory, "keys", `v${version}.key`);
  for (const version of [1, 2, 3]) {
    writeFileSync(keyFile(version), formatLocalKeyFile(Buffer.alloc(32, version)), { mode: 0o600 });
  }
  const { fleet, stored, clock, hosts } = cluster;
  const open = async (): Promise<Cluster> => ({
    fleet,
    stored,
    servers: hosts.map((host) => host.name),
    ...(more.alone && { alone: more.alone }),
  });

  async function run(...args: string[]): Promise<CliResult> {
    const seen = { stdout: "", stderr: "" };
    const code = await runCli(args, {
      stdout: { write: (text) => (seen.stdout += text) },
      stderr: { write: (text) => (seen.stderr += text) },
      signal: more.signal ?? new AbortController().signal,
      version: "0.0.0-test",
      platforms: new Map([
        [
          "local",
          () => ({
            value: {
              description: "the simulated cluster",
              open,
              ...(more.selfManaged && { selfManaged: more.selfManaged }),
            },
          }),
        ],
      ]),
      clock,
    });
    return { code, ...seen };
  }

  return {
    directory,
    settings: ["--control-plane", "simulated", "--key", `1=${keyFile(1)}`, "--key", `2=${keyFile(2)}`],
    keyFile,
    run,
    async json(...args) {
      const { code, stdout } = await run(...args, "--json");
      return { code, document: JSON.parse(stdout) as Record<string, unknown> };
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}
