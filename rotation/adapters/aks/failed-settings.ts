/** Which settings have failed in this run, and where to go back to from them. */
import { KmsEtcdError } from "../../../core/errors";
import { areSameSettings, type KmsSettings } from "./kms-settings";
import type { ManagedClusterState } from "./managed-cluster";

export interface FailedSettings {
  /** Keeps the settings of a cluster that is well: AKS still has their key when the next ones fail. */
  saw(state: ManagedClusterState): void;
  note(settings: KmsSettings, thrown: unknown): void;
  /**
   * Throws what AKS has said, when these have been asked for often enough. `now` is what the cluster has, `isProven` whether everything is
   * proven to be stored under that.
   */
  refuseAgain(settings: KmsSettings, now: KmsSettings, isProven: boolean): void;
  /** With which AKS was well before, while it still has their key; undefined where AKS can't return to them. */
  goBackFrom(settings: KmsSettings): KmsSettings | undefined;
  /** The settings with which AKS was well last. */
  lastGood(): KmsSettings | undefined;
  /** `thrown` with what AKS could not do first, where that is what has led to it. */
  withFirstCause(thrown: unknown): unknown;
}

/** The second try is what AKS's documentation asks for. */
const mostTries = 2;

/** `before` is what AKS was well with when an earlier run ended, where it is known that AKS still has their key. */
export function createFailedSettings(before?: KmsSettings): FailedSettings {
  let failures: readonly { readonly settings: KmsSettings; readonly thrown: unknown }[] = [];
  let lastGood = before;
  const of = (settings: KmsSettings) => failures.filter((failure) => areSameSettings(failure.settings, settings));
  const isGivenUp = (settings: KmsSettings) => of(settings).length >= mostTries;

  function withFirstCause(thrown: unknown): unknown {
    const [first] = failures;
    if (first === undefined || !(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") return thrown;
    const said = textOf(first.thrown);
    if (thrown.message.includes(said)) return thrown;
    const { code, message, remedy } = thrown;
    const options = { ...(remedy === undefined ? {} : { remedy }), cause: thrown };
    return new KmsEtcdError(code, `${message}; what AKS could not do first: ${said}`, options);
  }

  function whereItIs(settings: KmsSettings, now: KmsSettings, isProven: boolean): string {
    if (areSameSettings(settings, now)) {
      const noWayBack =
        lastGood !== undefined && !canReturn(settings, lastGood)
          ? ": from KMS data encryption there is no way back to the settings from before"
          : ", and everything was written again where that was possible";
      return `the cluster is left as AKS has left it${noWayBack}`;
    }
    if (lastGood === undefined || !areSameSettings(lastGood, now)) return "the cluster has other settings now";
    return `the cluster is back at the settings from before${isProven ? ", and everything is stored under them" : ""}`;
  }

  return {
    saw({ provisioningState, kms }) {
      if (provisioningState !== "Succeeded") return;
      // What has failed before counts only until AKS is well with something new.
      const isBack = lastGood !== undefined && areSameSettings(lastGood, kms);
      failures = isBack ? failures.filter((failure) => !areSameSettings(failure.settings, kms)) : [];
      lastGood = kms;
    },
    note(settings, thrown) {
      failures = [...failures, { settings, thrown }];
    },
    refuseAgain(settings, now, isProven) {
      const last = of(settings).at(-1);
      if (last === undefined || !isGivenUp(settings)) return;
      const said = `AKS could not do it in ${mostTries} tries: ${textOf(last.thrown)}`;
      throw new KmsEtcdError("blocked", `${said}; ${whereItIs(settings, now, isProven)}`, {
        remedy: "mend what AKS names (the key, the identity's access, the vault's network), then run again",
        cause: last.thrown,
      });
    },
    goBackFrom: (settings) =>
      isGivenUp(settings) &&
      lastGood !== undefined &&
      !areSameSettings(lastGood, settings) &&
      canReturn(settings, lastGood)
        ? lastGood
        : undefined,
    lastGood: () => lastGood,
    withFirstCause,
  };
}

/** KMS data encryption can't be left, not even by who has only tried to turn it on. */
function canReturn(from: KmsSettings, to: KmsSettings): boolean {
  return (from.mode !== "cmk" && from.mode !== "pmk") || to.mode === "cmk" || to.mode === "pmk";
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
