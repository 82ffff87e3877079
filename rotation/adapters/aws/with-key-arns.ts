/**
 * What a static pod of a plugin for AWS KMS says in `--key`: which words are aliases, and the manifest with ARNs in their place. For hosts and for
 * kOps alike, whose file assets are the same manifests.
 */
import { isMap, isScalar, isSeq, parseDocument, type Scalar } from "yaml";

/** Whether a `--key` is an alias, by its name or its ARN. */
export function isKeyAlias(key: string): boolean {
  return /(^|:)alias\//.test(key);
}

/** Of an alias's ARN; undefined for a bare name. */
export function regionOfAlias(alias: string): string | undefined {
  const [, , , region] = alias.startsWith("arn:") ? alias.split(":") : [];
  return region === "" ? undefined : region;
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
