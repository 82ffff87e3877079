/** What is seen of a kOps cluster: what its store says, what new machines would get, and what each machine has loaded. */
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import type { KeyAlias, ObjectFailure, ReadThroughProof, StoredProof } from "../../observation";
import type { FileAsset, InstanceGroup, KopsCluster } from "./cluster-spec";

export interface KopsSeen {
  /** As the state store has it now: what the next update carries over to the machines' groups. */
  readonly cluster: KopsCluster;
  /** Every instance group. */
  readonly groups: readonly InstanceGroup[];
  /** The `encryptionconfig` secret: what a machine that boots now gets, updated or not. Undefined: there is none. */
  readonly secret: SecretSeen | undefined;
  /** What the latest update has told new machines, for each group that runs API servers; none before the first update. */
  readonly applied: readonly AppliedGroup[];
  /** Tasks that `kops update cluster` would carry out now, as its own preview names them; absent where it was not asked. */
  readonly pending?: readonly string[];
  readonly machines: readonly Machine[];
  /** kOps has yet to make the cluster: there is no machine, and not even a certificate authority. */
  readonly isNew?: boolean;
  /** Aliases that plugins of the secret name their keys by; absent: none. */
  readonly aliases?: readonly AliasSeen[];
  /** A change of this engine's to spec or secret that was not seen through; undefined: there is none, or it can't be told. */
  readonly ownChange?: OwnChange;
  /** Machines that run an API server and are in no such group, or API servers without a machine: nothing is known of them. */
  readonly strangers: readonly string[];
}

/** An alias in the place of a key, and what KMS says is behind it now. */
export interface AliasSeen extends Pick<KeyAlias, "alias" | "arn" | "problem"> {
  readonly plugin: string;
  readonly asset: FileAsset;
  /** The instance group whose own file asset it is; absent: the cluster's. */
  readonly group?: string;
}

export interface OwnChange {
  /** File assets of plugins in use that it has given another text, as machines have run them before. */
  readonly before: readonly FileAsset[];
  /** The secret that every machine ran when the present one took its place. Absent: that was no change of ours, or it may not go back. */
  readonly replaced?: SecretText;
}

export interface SecretText {
  readonly hash: string;
  readonly text: string;
}

export interface SecretSeen {
  /** `sha256:<hex>` of its bytes, in the form of the API server's own metric. */
  readonly hash: string;
  readonly text: string;
  /** Undefined where the text is no encryption configuration; `problem` says why, without any of the text. */
  readonly config: EncryptionConfiguration | undefined;
  readonly problem?: string;
}

/** From the nodeup configuration of one group in the store, which kOps makes from spec and secret. */
export interface AppliedGroup {
  readonly group: string;
  /** Of the secret at the time of the update, `sha256:<hex>`; undefined where encryption was off. */
  readonly secretHash: string | undefined;
  /** A text over each file asset that machines of the group get, to compare with the spec's. */
  readonly assets: readonly string[];
}

/** One control-plane machine. */
export interface Machine {
  /** The cloud's id of it: another machine never has the same. */
  readonly name: string;
  readonly group: string;
  /** Whether its group's template has changed since it was made, or it was asked for. */
  readonly needsUpdate: boolean;
  /** Why nothing is known of its API server; undefined when it answered. */
  readonly unreachable: string | undefined;
  readonly version: string;
  readonly processStartedAt: number;
  readonly loaded: MachineConfig;
}

/** What the machine's API server itself uses. */
export type MachineConfig =
  /** The server names it; it is known where the secret, or one that was kept, has that hash. */
  | {
      readonly kind: "hash";
      readonly hash: string;
      /** The text with that hash, and what it says. */
      readonly known: { readonly text: string; readonly config: EncryptionConfiguration } | undefined;
    }
  /** The server says that it has none: it stores plaintext. */
  | { readonly kind: "none" }
  /** Servers before 1.34 don't say; only a roll in this run tells. */
  | { readonly kind: "unknown" };

export interface KopsObservation extends KopsSeen {
  readonly now: number;
  readonly run: KopsRunFacts;
}

/** What this run itself has done and measured. Losing it costs time and nothing else. */
export interface KopsRunFacts {
  /** The spec and secret that the last complete update of this run carried over, as `storeFingerprint` names them. */
  readonly updatedFor: string | undefined;
  /** Whether this run has changed the spec: then an update carries that over, and is its own. */
  readonly specChanged: boolean;
  /** The secret that every machine of a group was replaced for, in this run. */
  readonly rolledFor: Readonly<Record<string, string>>;
  /** What `kops validate cluster` said of these machines; undefined: it was not asked since they changed. */
  readonly validation: { readonly machines: string; readonly failure: string | undefined } | undefined;
  readonly stored: StoredProof | undefined;
  readonly readThrough: readonly ReadThroughProof[];
  readonly rewrites: { readonly count: number; readonly failures: readonly ObjectFailure[] };
  /** Secrets that machines of this run did not come up with, by hash, with the reason. */
  readonly notLoaded: Readonly<Record<string, string>>;
  /** Why machines did not come up with a plugin's changed text, or can't be used with it. */
  readonly changeFailed: string | undefined;
  /** What failed in another way and is not tried again in this run. */
  readonly failed: readonly string[];
  /** The secret in whose place this run has put another one; undefined while it has put none. */
  readonly replaced: SecretText | undefined;
  /** The secret of before, where somebody else has changed it since this run began. */
  readonly changedByOthers: string | undefined;
}

export const freshRun: KopsRunFacts = {
  updatedFor: undefined,
  specChanged: false,
  rolledFor: {},
  validation: undefined,
  stored: undefined,
  readThrough: [],
  rewrites: { count: 0, failures: [] },
  notLoaded: {},
  changeFailed: undefined,
  failed: [],
  replaced: undefined,
  changedByOthers: undefined,
};
