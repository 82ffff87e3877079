/** The keypairs of a kOps cluster, by the user's own kops. */
import { KmsEtcdError } from "../../../core/errors";
import { readCluster } from "../kops/cluster-spec";
import { clusterArguments, type KopsPlace, succeed } from "../kops/kops-commands";
import { readDocuments } from "../kops/kops-output";
import type { RunKopsCommand } from "../kops/kops-process";
import type { KeypairAction } from "./keypair-decision";
import type { Keyset } from "./keypairs";
import { readKeypairs } from "./read-keypairs";

/** Every method has a time limit, ends at `signal`, and may be repeated. */
export interface KopsKeypairs {
  look(signal: AbortSignal): Promise<{ readonly keysets: readonly Keyset[]; readonly hasOwnCertificate: boolean }>;
  /** Changes the store, keyset by keyset. A kill in the middle leaves some of them done. */
  change(action: KeypairAction, signal: AbortSignal): Promise<void>;
}

export interface KopsKeypairsOptions extends KopsPlace {
  readonly run: RunKopsCommand;
}

const limitMs = 2 * 60_000;

export function createKopsKeypairs(options: KopsKeypairsOptions): KopsKeypairs {
  const { run } = options;
  const where = clusterArguments(options);
  return {
    async look(signal) {
      const print = async (...args: string[]) =>
        (await succeed(run, { args: [...args, ...where, "-o", "json"], timeoutMs: limitMs, signal })).stdout;
      const { spec } = readCluster(readDocuments(await print("get", "cluster"), "kops get cluster")[0]);
      const keysets = readKeypairs(await print("get", "keypairs", "--distrusted"));
      if (keysets.length === 0) {
        throw new KmsEtcdError("not-found", `${options.cluster} has no keypairs yet`, {
          remedy: "create the cluster first: kops update cluster --yes",
        });
      }
      return { keysets, hasOwnCertificate: hasOwnCertificate(spec) };
    },
    async change(action, signal) {
      for (const command of commandsOf(action)) {
        await succeed(run, { args: [...command, ...where], timeoutMs: limitMs, signal });
      }
    },
  };
}

/** One command a keyset, never `all`: that would make a second new keypair where a killed run has made one. */
function commandsOf(action: KeypairAction): readonly (readonly string[])[] {
  if (action.kind === "create") return action.keysets.map((keyset) => ["create", "keypair", keyset]);
  return action.keypairs.map(({ keyset, id }) => [action.kind, "keypair", keyset, id]);
}

function hasOwnCertificate(spec: Readonly<Record<string, unknown>>): boolean {
  const api = spec["api"] as { readonly loadBalancer?: { readonly sslCertificate?: string } | null } | undefined;
  return (api?.loadBalancer?.sslCertificate ?? "") !== "";
}
