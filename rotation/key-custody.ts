/**
 * Port: what can be done to a key itself, where it lives. The engine has no way to it: a rotation never disables a key
 * (invariant 5). Retiring a version is an input of its own, carried out by `retire-keys.ts` alone, and can be taken back.
 */
import type { KeyReference } from "../core/key-reference";

/** One implementation a kind of key, under `adapters/keys/` or beside a cloud's other adapters. Methods throw KmsEtcdError. */
export interface KeyCustody<Key extends KeyReference = KeyReference> {
  /** Makes the key unusable for every plugin. Nothing of it is lost. A key that is retired already stays so. */
  retire(key: Key, signal: AbortSignal): Promise<void>;
  /** Makes a retired key usable again; does nothing to one that is. */
  reinstate(key: Key, signal: AbortSignal): Promise<void>;
}

/** By the kind of the key reference. */
export type KeyCustodies = {
  readonly [Kind in KeyReference["kind"]]?: KeyCustody<Extract<KeyReference, { kind: Kind }>>;
};

/** Undefined where this version cannot do anything to keys of this kind. */
export function custodyOf(custodies: KeyCustodies, key: KeyReference): KeyCustody | undefined {
  return custodies[key.kind];
}
