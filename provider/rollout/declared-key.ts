/** One declared version of the write key. */
import { keyReferenceOf } from "../../core/key-inputs";
import type { KeyReference } from "../../core/key-reference";
import { isObject, type PropertyValue } from "../property-values";

export interface DeclaredKey {
  readonly version: number;
  readonly key: KeyReference;
}

/** As the inputs have it; undefined while it is not known yet. */
export function declaredKey(entry: PropertyValue): DeclaredKey | undefined {
  if (!isObject(entry) || typeof entry["version"] !== "number") return undefined;
  const version = entry["version"];
  const key = keyReferenceOf(entry, version);
  return key && { version, key };
}
