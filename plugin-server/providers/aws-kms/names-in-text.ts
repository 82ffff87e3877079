/**
 * The names in an error's text: who asked for what, and which kind of policy has said no. Nothing else of the text is shown,
 * because whatever answers at the address of AWS KMS, an emulator or a proxy, might quote the request in it.
 */

const names = new RegExp(
  [
    /\barn:aws[a-z-]*:(?:kms|sts|iam|organizations):[a-z0-9-]*:\d*:[\w+=,.@/-]{1,160}/,
    /\bkms:[A-Z][A-Za-z]{2,40}\b/,
    /\bexplicit deny\b/,
    /\b(?:identity|resource)-based policy\b/,
    /\b(?:session|service control|resource control|VPC endpoint) policy\b/,
    /\bpermissions boundary\b/,
    /\bpending (?:replica )?(?:deletion|import)\b/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);

/** In their order, each once; at most so many as one line of a log and an HTTP/2 header take. */
export function namesIn(text: string): string {
  const found = [...text.slice(0, 2_000).matchAll(names)].map(([name]) => name.replace(/[.,]+$/, ""));
  return [...new Set(found)].slice(0, 6).join(", ");
}
