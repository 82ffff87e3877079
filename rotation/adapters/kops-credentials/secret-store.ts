/** The replacement of a secret as the loop and the preview need it, by the user's own kops. */
import { KmsEtcdError } from "../../../core/errors";
import { ReplaceableSecret } from "../../../core/replaceable-secret";
import { kopsFailure, type RunKopsCommand } from "../kops/kops-process";
import type { SecretBackups } from "../kops/secret-backups";
import { secretHash } from "../kops/secret-text";
import { decideSecret, type SecretAction, type SecretGoal, type SecretSeen } from "./decide-secret";
import { validationKey } from "./fleet-decision";
import { clusterArguments, type KopsFleet, succeed } from "./kops-fleet";
import type { Foresight } from "./predict-steps";
import type { CredentialStore } from "./run-credentials";

export interface SecretStoreOptions {
  readonly goal: SecretGoal;
  readonly settled: string | undefined;
  readonly cluster: string;
  readonly stateStore?: string;
  readonly run: RunKopsCommand;
  readonly fleet: Pick<KopsFleet, "look" | "mark">;
  readonly backups: SecretBackups;
}

export type SecretStore = CredentialStore<SecretSeen, SecretAction> & Foresight<SecretSeen, SecretAction>;

const limitMs = 2 * 60_000;
const none = "none";

/** Whether a task of `kops update cluster` brings Cilium's keys into the cluster. */
export function changesCilium(task: string): boolean {
  return /^ManagedFile\/.*cilium/.test(task);
}

export function createSecretStore(options: SecretStoreOptions): SecretStore {
  const { goal, settled, run, fleet, backups } = options;
  const where = clusterArguments(options);
  const fingerprintOf = (text: string | undefined) => (text === undefined ? none : secretHash(text));

  async function read(signal: AbortSignal): Promise<string | undefined> {
    const args = ["get", "secrets", goal.secret, ...where, "-o", "plaintext"];
    const result = await run({ args, timeoutMs: limitMs, signal });
    if (result.code === 0) return result.stdout.replace(/\n$/, ""); // kOps prints one line end of its own
    if (result.stderr.includes("no secrets found")) return undefined;
    throw kopsFailure("kops get secrets", result);
  }

  return {
    fingerprint: ({ fingerprint }) => fingerprint,
    validationKey: ({ fleet: machines, fingerprint }) => validationKey({ fleet: machines, fingerprint }),
    async observe(appliedFor, signal) {
      const text = await read(signal);
      const fingerprint = fingerprintOf(text);
      // No task of an update says anything of a Docker configuration.
      const isApplied = goal.secret === ReplaceableSecret.DockerConfig || appliedFor === fingerprint;
      return { text, fingerprint, fleet: await fleet.look(isApplied, signal) };
    },
    decide: (seen, facts) => decideSecret({ ...seen, facts, settled }, goal),
    async carryOut(action, seen, signal) {
      const present = await read(signal);
      if (fingerprintOf(present) !== action.expected) {
        throw new KmsEtcdError("conflict", `somebody else has changed the ${goal.secret} secret in the meantime`, {
          remedy: "agree on one text",
        });
      }
      if (present !== undefined) await backups.keep(present);
      if (goal.secret === ReplaceableSecret.DockerConfig) await fleet.mark(seen.fleet.machines.map(({ name }) => name));
      const force = present === undefined ? [] : ["--force"];
      const args = ["create", "secret", goal.secret, ...where, "-f", "-", ...force];
      await succeed(run, args, limitMs, signal, goal.text);
    },
    describe: () => `kops create secret ${goal.secret} --force`,
    afterUpdate: ({ fleet: { machines } }) => machines,
    after: (_action, seen) => ({
      text: goal.text,
      fingerprint: fingerprintOf(goal.text),
      fleet: {
        ...seen.fleet,
        mustGo:
          goal.secret === ReplaceableSecret.DockerConfig
            ? seen.fleet.machines.map(({ name }) => name)
            : seen.fleet.mustGo,
      },
    }),
  };
}
