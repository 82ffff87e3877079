/**
 * What to do about what went wrong in a run: one remedy for each kind. It claims nothing that was not seen; through the API it is
 * not even known which key an object needs.
 */
import type { Setback } from "../observation";

export function setbackRemedy({ kind, server, what }: Pick<Setback, "kind" | "server" | "what">): string {
  switch (kind) {
    case "notLoaded":
      return `see in the log of ${server}'s API server what it lacks, mend that, then run again`;
    case "unreadable":
      return "declare the key that wrote what cannot be read, or delete it (kms-etcd plan names a few of the objects), then run again";
    case "pluginFailed":
      return `see in the log of ${what} on ${server} why it can't use its key by the ARN (a policy may allow it by the alias alone: kms:RequestAlias, kms:ResourceAliases), mend that, then run again`;
    case "failed":
      return "mend the cause, then run again; until then nothing more is taken out of a configuration";
  }
}
