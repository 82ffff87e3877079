/** The replacement of a secret as the loop and the preview need it, by the user's own kops. */
import { KmsEtcdError } from "../../../core/errors";
import { ReplaceableSecret } from "../../../core/replaceable-secret";
import { clusterArguments, type KopsPlace, readSecret, succeed } from "../kops/kops-commands";
import type { RunKopsCommand } from "../kops/kops-process";
import type { SecretBackups } from "../kops/secret-backups";
import { secretHash } from "../kops/secret-text";
import { decideSecret, type SecretAction, type SecretGoal, type SecretSeen } from "./decide-secret";
import { validationKey } from "./fleet-decision";
import type { KopsFleet } from "./kops-fleet";
import type { Foresight } from "./predict-steps";
import type { CredentialStore } from "./run-credentials";

export interface SecretStoreOptions extends KopsPlace {
  readonly goal: SecretGoal;
  readonly settled: string | undefined;
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

  const read = (signal: AbortSignal) => readSecret(run, options, goal.secret, { timeoutMs: limitMs, signal });

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
      await succeed(run, { args, timeoutMs: limitMs, signal, input: goal.text });
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
