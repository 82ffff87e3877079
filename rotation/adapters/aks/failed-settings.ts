/** Which settings have failed in this run, and where to go back to from them. */
import { KmsEtcdError } from "../../../core/errors";
import { areSameSettings, type KmsSettings } from "./kms-settings";
import type { ManagedClusterState } from "./managed-cluster";

export interface FailedSettings {
  /** Keeps the settings of a cluster that is well: AKS still has their key when the next ones fail. */
  saw(state: ManagedClusterState): void;
  note(settings: KmsSettings, thrown: unknown): void;
  /** Throws what AKS has said, when these have been asked for often enough. `now` is what the cluster has. */
  refuseAgain(settings: KmsSettings, now: KmsSettings): void;
  /** Only what was seen in this run: with other settings in between, AKS may have dropped the key of those from before. */
  goBackFrom(settings: KmsSettings): KmsSettings | undefined;
}

/** The second try is what AKS's documentation asks for. */
const mostTries = 2;

export function createFailedSettings(): FailedSettings {
  const failures: { readonly settings: KmsSettings; readonly thrown: unknown }[] = [];
  let lastGood: KmsSettings | undefined;
  const of = (settings: KmsSettings) => failures.filter((failure) => areSameSettings(failure.settings, settings));
  const isGivenUp = (settings: KmsSettings) => of(settings).length >= mostTries;

  return {
    saw({ provisioningState, kms }) {
      if (provisioningState === "Succeeded") lastGood = kms;
    },
    note: (settings, thrown) => void failures.push({ settings, thrown }),
    refuseAgain(settings, now) {
      const last = of(settings).at(-1);
      if (last === undefined || !isGivenUp(settings)) return;
      const { thrown } = last;
      const said = thrown instanceof Error ? thrown.message : String(thrown);
      const where = areSameSettings(settings, now)
        ? "the cluster is left as AKS has left it, and everything was written again where that was possible"
        : "the cluster is back at the settings from before, and everything is stored under them";
      throw new KmsEtcdError("blocked", `AKS could not do it in ${mostTries} tries: ${said}; ${where}`, {
        remedy: "mend what AKS names (the key, the identity's access, the vault's network), then run again",
        cause: thrown,
      });
    },
    goBackFrom: (settings) =>
      isGivenUp(settings) && lastGood !== undefined && !areSameSettings(lastGood, settings) ? lastGood : undefined,
  };
}
