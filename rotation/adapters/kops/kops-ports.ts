/** Ports of the kOps engine: kOps itself, its store, and the API servers of the machines. Each stands for programs that fail. */
import type { FileAsset, KopsCluster } from "./cluster-spec";
import type { KopsSeen } from "./kops-observation";

/**
 * Every method has a time limit and ends at `signal`; methods throw KmsEtcdError. All may be repeated, also after a kill in their
 * middle: kOps replaces whole objects, and its update and roll do what is left to do.
 */
export interface Kops {
  /** Spec, secret, groups, what the groups were told, and what each machine has loaded. */
  observe(signal: AbortSignal): Promise<KopsSeen>;
  /** Replaces the spec while it is still `expected`; throws `conflict` otherwise. From then on it is the engine's own change. */
  putCluster(change: SpecChange, signal: AbortSignal): Promise<void>;
  /** The engine's own change has reached every machine: from now on nothing is taken for part of it. */
  settle(signal: AbortSignal): Promise<void>;
  /**
   * Keeps the present secret in the backup folder, then replaces it while it is still as expected. Throws `conflict` otherwise. kOps
   * has no compare-and-swap: between look and write lie milliseconds. From then on it is the engine's own change.
   */
  putSecret(change: SecretChange, signal: AbortSignal): Promise<void>;
  update(signal: AbortSignal): Promise<void>;
  /** What an update would change, for people. */
  previewUpdate(signal: AbortSignal): Promise<string>;
  /** Replaces the group's machines that are older than its template, or all. Returns why it stopped, if it did. */
  roll(group: string, force: boolean, signal: AbortSignal): Promise<RollFailure | undefined>;
  /** Why the cluster is not valid; undefined when it is. Waits a while for it to become so. */
  validate(signal: AbortSignal): Promise<string | undefined>;
}

export interface SpecChange {
  readonly cluster: KopsCluster;
  readonly expected: KopsCluster;
  /** File assets of plugins in use that it gives another text, as machines run them now. */
  readonly before: readonly FileAsset[];
}

export interface SecretChange {
  readonly text: string;
  /** Undefined: there is none yet. */
  readonly expectedHash: string | undefined;
  /** Every machine runs the secret of before, so that one may go back, in a later run too, where machines don't come up with this. */
  readonly mayGoBack: boolean;
}

export interface RollFailure {
  /** A machine was replaced and the new one did not come up. Otherwise nothing was touched, or a machine could not be drained. */
  readonly notJoined: boolean;
  readonly reason: string;
}
