/** Keys in AWS KMS by AWS' SDK, with the credentials of whoever runs Pulumi or the command line. */
import {
  DescribeKeyCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  KMSClient,
  KMSServiceException,
  ListResourceTagsCommand,
  TagResourceCommand,
  UntagResourceCommand,
} from "@aws-sdk/client-kms";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import type { AwsKeyReference } from "../../../core/key-reference";
import { withDeadline } from "../deadline";
import type { AwsKeyAdmin, AwsKeyLook } from "./aws-key-custody";
import type { AwsKeyNames } from "./aws-key-names";

const timeLimit = 30_000;

export interface SdkKeyAdmin extends AwsKeyAdmin, AwsKeyNames {
  close(): void;
}

/** One client a region. `endpoint` is for tests; without it the SDK looks where it always does. */
export function createSdkKeyAdmin(endpoint?: string): SdkKeyAdmin {
  const clients = new Map<string, KMSClient>();

  async function ask<Answer>(
    key: AwsKeyReference,
    what: string,
    signal: AbortSignal,
    work: (client: KMSClient, abortSignal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    const client =
      clients.get(key.region) ?? new KMSClient({ region: key.region, ...(endpoint === undefined ? {} : { endpoint }) });
    clients.set(key.region, client);
    try {
      return await withDeadline(signal, timeLimit, (limited) => work(client, limited));
    } catch (thrown) {
      if (signal.aborted) throw new KmsEtcdError("cancelled", `${what} was stopped`, { cause: thrown });
      throw failure(thrown, what, key);
    }
  }

  return {
    async look(key, signal): Promise<AwsKeyLook | undefined> {
      const KeyId = key.keyArn;
      try {
        return await ask(key, "looking at the key", signal, async (client, abortSignal) => {
          const { KeyMetadata } = await client.send(new DescribeKeyCommand({ KeyId }), { abortSignal });
          const { Tags = [] } = await client.send(new ListResourceTagsCommand({ KeyId }), { abortSignal });
          const state = KeyMetadata?.KeyState;
          return {
            state: state === "Enabled" ? "enabled" : state === "Disabled" ? "disabled" : "other",
            tags: Object.fromEntries(Tags.map(({ TagKey = "", TagValue = "" }) => [TagKey, TagValue])),
          };
        });
      } catch (thrown) {
        if (thrown instanceof KmsEtcdError && thrown.code === "not-found") return undefined;
        throw thrown;
      }
    },
    async setEnabled(key, enabled, signal) {
      const KeyId = key.keyArn;
      const command = enabled ? new EnableKeyCommand({ KeyId }) : new DisableKeyCommand({ KeyId });
      await ask(key, `${enabled ? "enabling" : "disabling"} the key`, signal, (client, abortSignal) =>
        client.send(command, { abortSignal }),
      );
    },
    async setTag(key, name, value, signal) {
      const KeyId = key.keyArn;
      await ask<unknown>(key, "marking the key", signal, (client, abortSignal) =>
        value === undefined
          ? client.send(new UntagResourceCommand({ KeyId, TagKeys: [name] }), { abortSignal })
          : client.send(new TagResourceCommand({ KeyId, Tags: [{ TagKey: name, TagValue: value }] }), { abortSignal }),
      );
    },
    async arnOf(name, region, signal) {
      const what = "finding the key behind";
      const key: AwsKeyReference = { kind: "aws", keyArn: name, region };
      const { KeyMetadata } = await ask(key, what, signal, (client, abortSignal) =>
        client.send(new DescribeKeyCommand({ KeyId: name }), { abortSignal }),
      ).catch((thrown: unknown) => {
        const remedy = nameRemedies[(thrown as KmsEtcdError).code];
        if (!(thrown instanceof KmsEtcdError) || remedy === undefined) throw thrown;
        throw new KmsEtcdError(thrown.code, `${thrown.message}, in ${region}`, { cause: thrown, remedy });
      });
      const { Arn = "", KeyState = "in no state that is known" } = KeyMetadata ?? {};
      if (KeyState !== "Enabled") {
        throw new KmsEtcdError("key-unusable", `${what} ${name}: ${Arn} is ${KeyState}`, {
          remedy: `what is stored with it can't be read: enable it (aws kms enable-key --key-id ${Arn}; a deletion is cancelled first), then run again`,
        });
      }
      return Arn;
    },
    close() {
      for (const client of clients.values()) client.destroy();
    },
  };
}

const nameRemedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  "permission-denied":
    "allow kms:DescribeKey on the key to whoever runs this, or sign in anew; or write the key's ARN in the alias's place",
  "not-found":
    "see which aliases there are with `aws kms list-aliases`, and write the ARN of the key that is meant in its place",
};

const codes: Readonly<Record<string, ErrorCode>> = {
  AccessDeniedException: "permission-denied",
  NotFoundException: "not-found",
  KMSInvalidStateException: "key-unusable",
  ThrottlingException: "throttled",
  UnrecognizedClientException: "permission-denied",
  ExpiredTokenException: "permission-denied",
  CredentialsProviderError: "permission-denied",
};
const remedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  "permission-denied":
    "allow kms:DescribeKey, kms:ListResourceTags, kms:TagResource, kms:UntagResource, kms:DisableKey and kms:EnableKey on it, or sign in anew",
  "key-unusable": "see its state with `aws kms describe-key`",
};

/** What AWS answered is a code and a sentence about the key; nothing of it is secret. */
function failure(thrown: unknown, what: string, key: AwsKeyReference): KmsEtcdError {
  const name = thrown instanceof Error ? thrown.name : "";
  const code = codes[name] ?? (thrown instanceof KMSServiceException ? "internal" : "unreachable");
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  const remedy = remedies[code];
  return new KmsEtcdError(code, `${what} ${key.keyArn}: ${name} ${reason}`, {
    cause: thrown,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
