/** Port: what is asked of Azure about keys and principals. Calls throw KmsEtcdError; asking twice changes nothing. */

/** What can be changed of a version of a key. */
export interface KeyAttributes {
  readonly enabled: boolean;
  /** When the version was made. Nothing changes that. */
  readonly createdOn?: Date;
  /** Absent for a version that does not expire. */
  readonly expiresOn?: Date;
  /** A version's own labels. Setting them replaces them all. */
  readonly tags?: Readonly<Record<string, string>>;
}

export interface VaultKeys {
  /** Undefined when there is no such version. */
  attributesOf(keyId: string, signal: AbortSignal): Promise<KeyAttributes | undefined>;
  /** What is left out stays as it is. Gives what the version has afterwards. */
  setAttributes(keyId: string, wanted: Partial<KeyAttributes>, signal: AbortSignal): Promise<KeyAttributes>;
  /** Asks for the first of the vault's keys. `permission-denied` and `unreachable` may pass while a grant or a name spreads. */
  list(vaultUri: string, signal: AbortSignal): Promise<void>;
}

/** What Entra ID says of an id. */
export type FoundPrincipal =
  | { readonly kind: "found"; readonly displayName: string }
  /** It is an application's client id; its service principal has another id. */
  | { readonly kind: "client-id"; readonly objectId: string; readonly displayName: string }
  | { readonly kind: "not-found" }
  /** We may not ask. */
  | { readonly kind: "not-allowed" };

export type PrincipalKind = "ServicePrincipal" | "User" | "Group";

export interface Principals {
  find(objectId: string, kind: PrincipalKind, signal: AbortSignal): Promise<FoundPrincipal>;
}

export interface AzureClients {
  readonly keys: VaultKeys;
  readonly principals: Principals;
}
