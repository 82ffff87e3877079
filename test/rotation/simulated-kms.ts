/** What the API servers of a simulated cluster know of the keys behind their plugins, and a KMS that changes them in place. */
import { writerOf } from "../../core/encryption-configuration";
import type { HeardKeyId } from "../../rotation/observation";
import { keyIdHash } from "../../rotation/rules/key-id-rule";
import { itemsOf } from "./simulated-api-server";
import type { SimulatedHost, SimulatedPlugin } from "./simulated-host";

export interface SimulatedKmsOptions {
  readonly hosts: readonly SimulatedHost[];
  readonly now: () => number;
  readonly pluginOf: (host: SimulatedHost, provider: string) => SimulatedPlugin | undefined;
  readonly answers: (plugin: SimulatedPlugin) => boolean;
}

export function simulateKms({ hosts, now, pluginOf, answers }: SimulatedKmsOptions) {
  /** By the key_id they were made with, every one since, the present one last. */
  const inPlace = new Map<string, readonly string[]>();

  return {
    /** With what it has heard of, which may be a minute old. */
    keyIdFor: ({ heard }: SimulatedHost, provider: string): string | undefined => heard.get(provider)?.keyId,

    /** A server asks its plugins when it loads a configuration, and once a minute. */
    askPlugins(target: SimulatedHost): void {
      target.nextStatus = now() + 60_000;
      for (const item of itemsOf(target.loaded)) {
        const provider = writerOf([item]);
        const plugin = pluginOf(target, provider);
        const known = target.heard.get(provider);
        if (plugin === undefined || known?.keyId === plugin.material || (known !== undefined && !answers(plugin)))
          continue;
        target.heard.set(provider, { keyId: plugin.material, since: known === undefined ? 0 : now() });
      }
    },

    heardBy: ({ heard }: SimulatedHost): readonly HeardKeyId[] =>
      [...heard].map(([provider, { keyId, since }]) => ({
        provider: provider.replace(/^kms\/v2\//, ""),
        keyIdHash: keyIdHash(keyId),
        since,
      })),

    /** The KMS puts another key behind the plugins that have it; what was encrypted before is still decrypted. */
    changeKeyInPlace(keyId: string, next: string): void {
      const former = [...(inPlace.get(keyId) ?? [keyId])];
      inPlace.set(keyId, [...former, next]);
      for (const plugin of hosts.flatMap((target) => [...target.plugins.values()])) {
        if (plugin.material === former.at(-1)) Object.assign(plugin, { material: next, former });
      }
    },

    /** What a plugin reports now for the key that was made with this key_id. */
    presentKeyId: (keyId: string): string => inPlace.get(keyId)?.at(-1) ?? keyId,

    formerKeyIds: (keyId: string): readonly string[] => inPlace.get(keyId) ?? [],
  };
}
