/**
 * What an API server makes of an EncryptionConfiguration, as k8s.io/apiserver v0.36.3 does it (pkg/server/options/encryptionconfig/
 * config.go): which providers each resource has, and which configurations it does not load. For the simulated cluster, so it shares
 * no code with the engine.
 */
import type { EncryptionConfiguration, ProviderItem } from "../../core/encryption-configuration";

const everything = "*.*";

function wildcardOf(resource: string): string {
  const dot = resource.indexOf(".");
  return dot < 0 ? "*." : `*.${resource.slice(dot + 1)}`;
}

/** By its own name, else by its group's wildcard, else by that of everything; from all blocks with that name, in their order. */
export function providersFor(config: EncryptionConfiguration, resource: string): readonly ProviderItem[] {
  for (const name of [resource, wildcardOf(resource), everything]) {
    const blocks = config.blocks.filter((block) => block.resources.includes(name));
    if (blocks.length > 0) return blocks.flatMap((block) => block.providers);
  }
  return [{ kind: "identity" }];
}

/** Which of `names` stands for `resource`, when each stands for what no other one does more closely. */
export function nameFor(names: readonly string[], resource: string): string | undefined {
  return [resource, wildcardOf(resource), everything].find((name) => names.includes(name));
}

export function itemsOf(config: EncryptionConfiguration): readonly ProviderItem[] {
  return config.blocks.flatMap((block) => block.providers);
}

/** Why a server would not load it. */
export function refusalBy(config: EncryptionConfiguration, reload: "hot" | "restart"): string | undefined {
  const seen = new Set<string>();
  const names = new Set<string>();
  for (const { resources, providers } of config.blocks) {
    if (resources.length === 0 || providers.length === 0) return "an empty block";
    for (const resource of resources) {
      const wildcard = wildcardOf(resource);
      const overlaps = resources.filter((other) => [resource, wildcard, everything].includes(other));
      if (overlaps.length > 1) return `overlapping resources ${overlaps.join(", ")} in one list`;
      for (const mask of [wildcard, everything]) {
        if (seen.has(mask)) return `resource "${resource}" is masked by earlier rule "${mask}"`;
      }
    }
    for (const resource of resources) seen.add(resource);
    for (const item of providers) {
      if (item.kind !== "kms") continue;
      if (names.has(item.name) && (item.apiVersion === "v2" || reload === "hot"))
        return `duplicate KMS provider name ${item.name}`;
      names.add(item.name);
    }
  }
  return undefined;
}
