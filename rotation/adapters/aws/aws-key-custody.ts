/**
 * Retires a version whose key is in AWS KMS by disabling the key, and marks it, so that reinstating it enables none that somebody else
 * has disabled for a reason of their own.
 */
import { retiredKeyTag } from "../../../core/aws-key-arn";
import { KmsEtcdError } from "../../../core/errors";
import type { AwsKeyReference } from "../../../core/key-reference";
import type { KeyCustody } from "../../key-custody";

/** Port: what is done to keys. Methods throw KmsEtcdError; each may be repeated. */
export interface AwsKeyAdmin {
  /** Undefined where there is no such key. */
  look(key: AwsKeyReference, signal: AbortSignal): Promise<AwsKeyLook | undefined>;
  setEnabled(key: AwsKeyReference, enabled: boolean, signal: AbortSignal): Promise<void>;
  /** An undefined value takes the tag away. */
  setTag(key: AwsKeyReference, name: string, value: string | undefined, signal: AbortSignal): Promise<void>;
}

export interface AwsKeyLook {
  readonly state: "enabled" | "disabled" | "other";
  readonly tags: Readonly<Record<string, string>>;
}

export function awsKeyCustody(admin: () => AwsKeyAdmin): KeyCustody<AwsKeyReference> {
  return {
    async retire(key, signal) {
      const found = await admin().look(key, signal);
      if (found === undefined) {
        throw new KmsEtcdError("not-found", `there is no key ${key.keyArn}`, {
          remedy: "declare the version no longer",
        });
      }
      // One that is about to be deleted, or has been disabled already, can't be used either.
      if (found.state !== "enabled") return;
      // The mark first: a key that is marked and enabled is just retired again, one that is disabled without it would stay so.
      await admin().setTag(key, retiredKeyTag, "true", signal);
      await admin().setEnabled(key, false, signal);
    },
    async reinstate(key, signal) {
      const found = await admin()
        .look(key, signal)
        .catch((thrown: unknown) => {
          // Whoever may not look at the key can't have retired it, and the plugins say when they can't use it.
          const passes = thrown instanceof KmsEtcdError && ["permission-denied", "unreachable"].includes(thrown.code);
          if (passes) return undefined;
          throw thrown;
        });
      if (found?.tags[retiredKeyTag] === undefined) return;
      if (found.state === "disabled") await admin().setEnabled(key, true, signal);
      await admin().setTag(key, retiredKeyTag, undefined, signal);
    },
  };
}
