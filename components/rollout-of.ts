/** The resource that carries a rollout out, for the platform that is given. Its name is the component's, and is identity: never change it. */
import type * as pulumi from "@pulumi/pulumi";
import { KopsKmsSettings } from "./aws/kops-kms-settings";
import { type DeclaredKeyArgs, EncryptionRollout, type EncryptionRolloutArgs } from "./encryption-rollout";
import type { KmsEtcdEncryptionArgs } from "./kms-etcd-encryption";

export function rolloutOf(
  name: string,
  args: KmsEtcdEncryptionArgs,
  keys: DeclaredKeyArgs[],
  options: pulumi.CustomResourceOptions,
): EncryptionRollout | KopsKmsSettings {
  const inputs = {
    ...given(args, ["allowPlaintextReads", "rewriteBy", "advanceTo", "limits", "etcdSnapshot", "compactAfterPrune"]),
    ...given(args, ["withoutLease", "retireKeyVersions", "policy", "reportSigning", "local", "selfManaged"]),
    // Refused before where it is missing.
    keyVersion: args.keyVersion ?? 0,
    keys,
    resources: args.resources ?? ["secrets"],
    enabled: args.enabled ?? true,
  } satisfies EncryptionRolloutArgs;
  if (args.kops === undefined) return new EncryptionRollout(name, inputs, options);
  // Inputs that are of no use there pass on too: the provider says why, at each.
  return new KopsKmsSettings(name, { ...inputs, kops: args.kops }, options);
}

/** Those of `names` that were given. */
function given<Name extends keyof KmsEtcdEncryptionArgs>(
  args: KmsEtcdEncryptionArgs,
  names: readonly Name[],
): Pick<KmsEtcdEncryptionArgs, Name> {
  const entries = names.flatMap((name) => (args[name] === undefined ? [] : [[name, args[name]] as const]));
  return Object.fromEntries(entries) as Pick<KmsEtcdEncryptionArgs, Name>;
}
