/** What `kops get keypairs --distrusted -o json` prints (kops cmd/kops/get_keypairs.go). It holds no key and no certificate. */
import { KmsEtcdError } from "../../../core/errors";
import { readDocuments } from "../kops/kops-output";
import { isRotatable, type Keypair, type Keyset, timeInId } from "./keypairs";

/** The rotatable keysets, by name. */
export function readKeypairs(stdout: string): readonly Keyset[] {
  const keysets = new Map<string, Keypair[]>();
  for (const entry of readDocuments(stdout, "kops get keypairs")) {
    const { name, keypair } = readKeypair(entry as Readonly<Record<string, unknown>>);
    if (isRotatable(name)) keysets.set(name, [...(keysets.get(name) ?? []), keypair]);
  }
  return [...keysets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, keypairs]) => ({ name, keypairs: keypairs.sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1)) }));
}

function readKeypair(entry: Readonly<Record<string, unknown>>): { name: string; keypair: Keypair } {
  const { name, id, isPrimary, hasPrivateKey, notBefore, notAfter, distrustTimestamp } = entry;
  const from = time(notBefore);
  const until = time(notAfter);
  if (typeof name !== "string" || typeof id !== "string" || !/^\d+$/.test(id) || from === undefined) {
    throw new KmsEtcdError("unsupported", "kops get keypairs printed a keypair without name, number or date", {
      remedy: "use a kops of the cluster's own minor version, 1.22 or newer",
    });
  }
  return {
    name,
    keypair: {
      id,
      isPrimary: isPrimary === true,
      hasPrivateKey: hasPrivateKey === true,
      // Its certificate is valid from two days before that, or from when somebody else made it.
      madeAt: timeInId(id) ?? from,
      expiresAt: until ?? Number.POSITIVE_INFINITY,
      distrustedAt: time(distrustTimestamp),
    },
  };
}

function time(value: unknown): number | undefined {
  const milliseconds = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(milliseconds) ? undefined : milliseconds;
}
