/**
 * Aliases by which a plugin that somebody has set up names its key in AWS KMS: where they stand in its manifest, and what is behind them.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { KeyAlias } from "../../observation";
import type { AwsKeyNames } from "../aws/aws-key-names";
import { isKeyAlias, regionOfAlias, withKeyArns } from "../aws/with-key-arns";
import { withDeadline } from "../deadline";
import type { DefinitionFile } from "./host-manifests";

/**
 * The aliases of a plugin by its definition and, for KMS v2, by the key_id that it reports, which is the text of its `--key`. `path`: of the
 * file, which is a systemd unit or a static pod; without one nobody knows what starts the plugin.
 */
export function aliasesOf(
  definition: DefinitionFile | undefined,
  path: string | undefined,
  isUnit: boolean,
  keyId: string | undefined,
): readonly KeyAlias[] {
  const words = definition?.manifest.arguments ?? [];
  const named = [...new Set(valuesOf(words, "key").filter(isKeyAlias))];
  // In a script, or in a program's own settings.
  const hidden = keyId !== undefined && isKeyAlias(keyId) && !named.includes(keyId) ? [keyId] : inScripts(words, named);
  const [ofPlugin] = valuesOf(words, "region");
  const canBeEdited = definition !== undefined && !isUnit && hidden.length === 0 && isEditable(definition.text, named);
  return [...named, ...hidden].map((alias) => {
    const region = regionOfAlias(alias) ?? ofPlugin;
    const known = region === undefined ? { alias } : { alias, region };
    return { ...known, arn: undefined, ...(!canBeEdited && { byHand: byHand(path, isUnit) }) };
  });
}

function byHand(path: string | undefined, isUnit: boolean): NonNullable<KeyAlias["byHand"]> {
  const then = "one host after the other, then run again";
  if (path === undefined) {
    return { reason: "it was not found what starts the plugin", remedy: `name its key by the ARN, ${then}` };
  }
  return isUnit
    ? {
        reason: "systemd runs it, and units of others are not changed",
        remedy: `write the ARN into ${path}, put it into force (systemctl daemon-reload, systemctl restart), ${then}`,
      }
    : {
        reason: `${path} has the alias in a way that can't be edited here`,
        remedy: `write the ARN into ${path} yourself, ${then}`,
      };
}

/** Values of `--name=a,b` and of `--name a,b`, repeated or not. */
function valuesOf(words: readonly string[], name: string): readonly string[] {
  return words.flatMap((word, index) => {
    const inline = new RegExp(`^--?${name}=(.*)$`).exec(word)?.[1];
    const next = new RegExp(`^--?${name}$`).test(words[index - 1] ?? "") ? word : undefined;
    return (inline ?? next ?? "").split(",").filter((value) => value !== "");
  });
}

/** In a word that a shell reads: `sh -c "exec aws-encryption-provider --key=alias/etcd"`. */
function inScripts(words: readonly string[], known: readonly string[]): readonly string[] {
  const found = words.flatMap((word) =>
    [...word.matchAll(/\s--?key[=\s]["']?((?:arn:[\w-]+:kms:[\w-]*:\d*:)?alias\/[\w/-]+)/g)].map(([, key = ""]) => key),
  );
  return [...new Set(found)].filter((key) => !known.includes(key));
}

function isEditable(text: string, aliases: readonly string[]): boolean {
  return (
    withKeyArns(text, new Map(aliases.map((alias) => [alias, `arn:of:${alias.replaceAll("alias/", "")}`]))) !==
    undefined
  );
}

/** How long one look waits for KMS, and how soon an alias of which KMS has said nothing is asked for again. */
const askedFor = 10_000;
const askedAgainAfter = 30_000;

type Resolved = Pick<KeyAlias, "arn" | "problem">;

/**
 * Asks KMS what is behind aliases, each once, with the credentials of whoever runs the engine. The plugins look in their own account, so a bare name
 * may be another key there: a plan shows the ARN. Does not throw for what KMS says: that stands in the answer.
 */
export function aliasResolver(names: () => AwsKeyNames): (alias: KeyAlias, signal: AbortSignal) => Promise<KeyAlias> {
  const known = new Map<string, { readonly at: number; readonly answer: Promise<Resolved> }>();

  async function ask({ alias, region }: KeyAlias, signal: AbortSignal): Promise<Resolved> {
    if (region === undefined) {
      const remedy = "write --region=REGION into the plugin's manifest, or the key's ARN in the alias's place";
      return { arn: undefined, problem: { reason: "nothing says in which region it is", remedy } };
    }
    try {
      const arn = await withDeadline(signal, askedFor, (limited) => names().arnOf(alias, region, limited));
      return { arn };
    } catch (thrown) {
      if (!(thrown instanceof KmsEtcdError)) throw thrown;
      const remedy =
        thrown.remedy ?? "see what `aws kms describe-key` says of it, or write the key's ARN in the alias's place";
      return { arn: undefined, problem: { reason: thrown.message, remedy } };
    }
  }

  return async (used, signal) => {
    const id = `${used.region ?? ""} ${used.alias}`;
    const before = known.get(id);
    const isOld =
      before !== undefined && Date.now() - before.at > askedAgainAfter && (await before.answer).arn === undefined;
    const entry = before === undefined || isOld ? { at: Date.now(), answer: ask(used, signal) } : before;
    known.set(id, entry);
    return { ...used, ...(await entry.answer) };
  };
}
