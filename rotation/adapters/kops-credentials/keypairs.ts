/** kOps' keypairs as its store has them: keysets, each with one primary, and others that are trusted or not. */

/** The keyset whose CA clients of the Kubernetes API trust, and which issues their credentials. */
export const kubernetesCa = "kubernetes-ca";

export interface Keypair {
  /** A serial number, in decimal: kOps takes the greater of two for the newer one. */
  readonly id: string;
  readonly isPrimary: boolean;
  readonly hasPrivateKey: boolean;
  /** Milliseconds since the epoch, like the others. */
  readonly madeAt: number;
  readonly expiresAt: number;
  /** Undefined while it is trusted. */
  readonly distrustedAt: number | undefined;
}

export interface Keyset {
  readonly name: string;
  /** The oldest first. */
  readonly keypairs: readonly Keypair[];
}

/** Whether kOps can rotate a keyset (kops cmd/kops/create_keypair.go): a certificate authority, or the keys of service accounts. */
export function isRotatable(keyset: string): boolean {
  return keyset === "service-account" || keyset.includes("-ca");
}

/** A text over what kOps' store says of them: what new machines get is made from that, and from nothing else of them. */
export function keypairsFingerprint(keysets: readonly Keyset[]): string {
  const part = ({ id, isPrimary, distrustedAt }: Keypair) =>
    `${id}${isPrimary ? "*" : ""}${distrustedAt === undefined ? "" : "-"}`;
  return keysets.map(({ name, keypairs }) => `${name}:${keypairs.map(part).join(",")}`).join(" ");
}

/** kOps puts the time in nanoseconds above 32 random bits (kops pkg/pki/csr.go). Ids of another form say nothing. */
export function timeInId(id: string): number | undefined {
  const milliseconds = Number((BigInt(id) >> 32n) / 1_000_000n);
  return milliseconds > earliest && milliseconds < latest ? milliseconds : undefined;
}

/** Between them lies what can be a time of kOps' at all. */
const earliest = Date.UTC(2016, 0, 1);
const latest = Date.UTC(2100, 0, 1);
