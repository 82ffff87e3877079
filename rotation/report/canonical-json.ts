/** One text for one value, whatever order its properties were made in (RFC 8785): what is signed can be made again by anyone. */
import { KmsEtcdError } from "../../core/errors";

/** A value that JSON can say. Properties that are undefined are left out. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json | undefined };

/** Throws `invalid-input` for numbers and strings that JSON cannot say. */
export function canonicalJson(value: Json): string {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new KmsEtcdError("invalid-input", `${value} cannot be said in JSON`);
  }
  // RFC 8785 section 3.2.2.2: a lone surrogate has no UTF-8.
  if (typeof value === "string" && /\p{Surrogate}/u.test(value)) {
    throw new KmsEtcdError("invalid-input", "a text with half a surrogate pair cannot be said in JSON");
  }
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  // Sorted by UTF-16 code units, which is what JavaScript's own order of strings is (section 3.2.3).
  const members = Object.keys(value)
    .sort()
    .flatMap((name) => {
      const member = value[name];
      return member === undefined ? [] : [`${canonicalJson(name)}:${canonicalJson(member)}`];
    });
  return `{${members.join(",")}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
