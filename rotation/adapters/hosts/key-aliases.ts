/**
 * Aliases by which a plugin that somebody has set up names its key in AWS KMS: where they stand in its manifest, what is behind them, and the
 * manifest with ARNs in their place.
 */
import { isMap, isScalar, isSeq, parseDocument, type Scalar } from "yaml";
import { KmsEtcdError } from "../../../core/errors";
import type { KeyAlias } from "../../observation";
import type { AwsKeyNames } from "../aws/aws-key-names";
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
  const named = [...new Set(valuesOf(words, "key").filter(isAlias))];
  // In a script, or in a program's own settings.
  const hidden = keyId !== undefined && isAlias(keyId) && !named.includes(keyId) ? [keyId] : inScripts(words, named);
  const [ofPlugin] = valuesOf(words, "region");
  const canBeEdited = definition !== undefined && !isUnit && hidden.length === 0 && isEditable(definition.text, named);
  return [...named, ...hidden].map((alias) => {
    const region = regionOf(alias) ?? ofPlugin;
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

function isAlias(key: string): boolean {
  return /(^|:)alias\//.test(key);
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

function regionOf(alias: string): string | undefined {
  const [, , , region] = alias.startsWith("arn:") ? alias.split(":") : [];
  return region === "" ? undefined : region;
}

function isEditable(text: string, aliases: readonly string[]): boolean {
  return (
    withKeyArns(text, new Map(aliases.map((alias) => [alias, `arn:of:${alias.replaceAll("alias/", "")}`]))) !==
    undefined
  );
}

/** The manifest with ARNs in the place of aliases, and not a letter else changed; undefined where that can't be done. */
export function withKeyArns(text: string, arns: ReadonlyMap<string, string>): string | undefined {
  const edits: { readonly from: number; readonly length: number; readonly value: string }[] = [];
  for (const { scalar, value } of changedWords(text, arns)) {
    const [from, to] = scalar.range ?? [0, 0];
    const word = String(scalar.value);
    const index = text.slice(from, to).indexOf(word);
    if (index < 0) return undefined; // folded or with escapes: not as it reads
    edits.push({ from: from + index, length: word.length, value });
  }
  const edited = edits
    .sort((a, b) => b.from - a.from)
    .reduce((whole, { from, length, value }) => whole.slice(0, from) + value + whole.slice(from + length), text);
  const left = changedWords(edited, arns).length > 0;
  return left || parseDocument(edited, { prettyErrors: false }).errors.length > 0 ? undefined : edited;
}

/** Words of `--key=a,b` and those that follow `--key`, where they have an alias that is known. */
function changedWords(text: string, arns: ReadonlyMap<string, string>) {
  const containers = parseDocument(text, { prettyErrors: false }).getIn(["spec", "containers"]);
  const found: { readonly scalar: Scalar; readonly value: string }[] = [];
  for (const container of isSeq(containers) ? containers.items : []) {
    const lists = ["command", "args"].map((field) => (isMap(container) ? container.get(field) : undefined));
    const words = lists.flatMap((list) =>
      isSeq(list) ? list.items.filter((item): item is Scalar => isScalar(item)) : [],
    );
    for (const [index, scalar] of words.entries()) {
      const word = String(scalar.value);
      const isNext = /^--?key$/.test(String(words[index - 1]?.value));
      const flag = /^--?key=/.exec(word)?.[0] ?? (isNext ? "" : undefined);
      if (flag === undefined) continue;
      const keys = word.slice(flag.length).split(",");
      const value = flag + keys.map((key) => arns.get(key) ?? key).join(",");
      if (value !== word) found.push({ scalar, value });
    }
  }
  return found;
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
