/** How two secrets differ, in words that name providers and never a key: the text may hold key material. */
import { type EncryptionConfiguration, providerIds } from "../../../core/encryption-configuration";
import { resourceSlot } from "../../../core/provider-name";
import { readSecretText } from "./secret-text";

export function secretDifference(before: string | undefined, after: string | undefined): string {
  if (before === undefined || after === undefined) return before === undefined ? "it was made" : "it was removed";
  const [old, now] = [summary(before), summary(after)];
  if (old === undefined || now === undefined) return "it is no encryption configuration any more";
  const slots = [...new Set([...old.keys(), ...now.keys()])];
  const lines = slots
    .filter((slot) => old.get(slot) !== now.get(slot))
    .map((slot) => `${slot}: ${old.get(slot) ?? "not named"} became ${now.get(slot) ?? "not named"}`);
  return lines.length > 0
    ? lines.join("; ")
    : "the same providers in the same order, with other keys, endpoints or comments";
}

function summary(text: string): ReadonlyMap<string, string> | undefined {
  let config: EncryptionConfiguration;
  try {
    config = readSecretText(text);
  } catch {
    return undefined;
  }
  const ids = (providers: EncryptionConfiguration["blocks"][number]["providers"]) => providers.flatMap(providerIds);
  return new Map(config.blocks.map((block) => [resourceSlot(block.resources), `[${ids(block.providers).join(", ")}]`]));
}
