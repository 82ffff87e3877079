/**
 * A command line of a unit as systemd makes words of it (systemd.service, "Command lines"): quotes and escapes first, variables
 * when the process starts. Flags of an API server are read from it, and arguments of a plugin are written for it. Pure.
 */

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  s: " ",
  "\\": "\\",
  '"': '"',
  "'": "'",
};

/** Undefined where a quote does not end. */
export function splitWords(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (char === "\\") {
      const { taken, value } = unescaped(text, index);
      word = (word ?? "") + value;
      index += taken - 1;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word = (word ?? "") + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== "") return undefined;
  return word === undefined ? words : [...words, word];
}

/** One that is not known stays as it stands, as with systemd. */
function unescaped(text: string, at: number): { readonly taken: number; readonly value: string } {
  const hex = /^\\x([0-9a-fA-F]{2})/.exec(text.slice(at, at + 4))?.[1];
  if (hex !== undefined) return { taken: 4, value: String.fromCharCode(Number.parseInt(hex, 16)) };
  const octal = /^\\([0-3][0-7]{2})/.exec(text.slice(at, at + 4))?.[1];
  if (octal !== undefined) return { taken: 4, value: String.fromCharCode(Number.parseInt(octal, 8)) };
  const known = escapes[text.charAt(at + 1)];
  return known === undefined ? { taken: 1, value: "\\" } : { taken: 2, value: known };
}

/**
 * The words with variables in their places: `$NAME` as a word of its own becomes the words of its value, `${NAME}` is put in
 * as it is, `$$` is a dollar sign.
 */
export function withVariables(
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
): readonly string[] {
  return words.flatMap((word) => {
    const alone = /^\$([A-Za-z_]\w*)$/.exec(word)?.[1];
    if (alone !== undefined) return splitWords(variables[alone] ?? "") ?? [];
    return [word.replace(/\$\$|\$\{([A-Za-z_]\w*)\}/g, (_, name?: string) => (name ? (variables[name] ?? "") : "$"))];
  });
}

/** One word that means exactly `value` to systemd, in a command line. */
export function commandWord(value: string): string {
  return quotedWord(value.replaceAll("$", "$$$$"));
}

/** The same where no variables are put in, as in `Environment=`. */
export function quotedWord(value: string): string {
  const escaped = value.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n").replaceAll("%", "%%");
  return /^[\w./@+:,=%$-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}
