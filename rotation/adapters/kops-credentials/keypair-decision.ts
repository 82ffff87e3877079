/** What the rotation of keypairs is asked for, what it sees, and what it can decide to do. */
import type { KeypairStage } from "../../../core/keypair-stage";
import type { CredentialDecision, CredentialFacts, FleetSeen } from "./fleet-decision";
import type { Keyset } from "./keypairs";

export interface KeypairGoal {
  readonly keysets: readonly string[] | "all";
  /** Keypairs made before this moment are the previous ones, those since then the new ones. */
  readonly madeBefore: number;
  readonly advanceTo: KeypairStage;
  /** The keypair of kubernetes-ca whose CA every client of the API trusts, as the user says. */
  readonly clientsTrust: string | undefined;
  /** The keypair of kubernetes-ca that has issued every client's credentials, as the user says. */
  readonly clientsUse: string | undefined;
}

export interface KeypairsSeen {
  readonly now: number;
  /** Every rotatable keyset. */
  readonly keysets: readonly Keyset[];
  /** Whether clients reach the API by a load balancer with a certificate of its own: then they don't need kOps' CA. */
  readonly hasOwnCertificate: boolean;
  readonly fleet: FleetSeen;
}

export interface KeypairObservation extends KeypairsSeen {
  readonly facts: CredentialFacts;
  /** Fingerprint of the keypairs that an earlier run has brought to every machine. */
  readonly settled: string | undefined;
}

/** One keypair of a keyset. */
export interface KeypairName {
  readonly keyset: string;
  readonly id: string;
}

export type KeypairAction =
  | { readonly kind: "create"; readonly keysets: readonly string[] }
  | { readonly kind: "promote"; readonly keypairs: readonly KeypairName[] }
  | { readonly kind: "distrust"; readonly keypairs: readonly KeypairName[] }
  /** Every machine that is there now must be replaced after it: the seed's `--force`. */
  | { readonly kind: "trust"; readonly keypairs: readonly KeypairName[] };

export type KeypairDecision = CredentialDecision<KeypairAction>;
