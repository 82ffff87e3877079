/** Which providers of a cluster's configurations are which declared key. */
import { type EncryptionConfiguration, providerIds, writerOf } from "../../core/encryption-configuration";
import { providerName, resourceSlot } from "../../core/provider-name";
import { resourceBlock } from "../../core/resource-block";
import { identityProvider, type ProviderId } from "../../core/write-key";
import type { DeclaredKey } from "./declared-key";
import type { SeenServer } from "./rotation-engine";

/**
 * The declared version that the servers encrypt `resources` with, by what they have loaded. 0 stands for plaintext; undefined
 * for servers or resources that differ, for another key, and for what is not known.
 */
export function activeKeyVersion(
  servers: readonly SeenServer[],
  resources: readonly string[],
  keys: readonly DeclaredKey[],
): number | undefined {
  const versions = new Set(servers.flatMap((server) => resources.map((resource) => versionOn(server, resource, keys))));
  return versions.size === 1 ? [...versions][0] : undefined;
}

/** Whether some server encrypts something with `key`, by its file or by what it has loaded. */
export function encryptsWith(servers: readonly SeenServer[], key: DeclaredKey): boolean {
  return blocksOf(servers).some((block) => writerOf(block.providers) === idFor(key, block.resources));
}

/** The ids under which `key` stands in the servers' configurations, and so in the values stored with it. */
export function providersOf(servers: readonly SeenServer[], key: DeclaredKey): ReadonlySet<ProviderId> {
  const ids = blocksOf(servers).flatMap((block) => {
    const id = idFor(key, block.resources);
    return block.providers.some((item) => providerIds(item).includes(id)) ? [id] : [];
  });
  return new Set(ids);
}

/** The ids that `key` may have in stored values of `resource`: in the blocks that there are, and in one of its own. */
export function possibleProviders(
  servers: readonly SeenServer[],
  key: DeclaredKey,
  resource: string,
): ReadonlySet<ProviderId> {
  return new Set([idFor(key, [resource]), ...blocksOf(servers).map((block) => idFor(key, block.resources))]);
}

function versionOn(server: SeenServer, resource: string, keys: readonly DeclaredKey[]): number | undefined {
  const config = server.loaded.config ?? (hasNoFile(server) ? { blocks: [] } : undefined);
  if (config === undefined) return undefined;
  const block = resourceBlock(config, resource);
  const writer = block === undefined ? identityProvider : writerOf(block.providers);
  if (block === undefined || writer === identityProvider) return 0;
  return keys.find((key) => idFor(key, block.resources) === writer)?.version;
}

/** It was never given one, and encrypts nothing. One that could not be asked may have a file. */
function hasNoFile({ file, fileProblem, unreachable }: SeenServer): boolean {
  return file === undefined && fileProblem === undefined && unreachable === undefined;
}

function blocksOf(servers: readonly SeenServer[]): EncryptionConfiguration["blocks"] {
  return servers.flatMap((server) => [...(server.file?.config.blocks ?? []), ...(server.loaded.config?.blocks ?? [])]);
}

function idFor(key: DeclaredKey, resources: readonly string[]): ProviderId {
  return `kms/v2/${providerName("v2", key.key, resourceSlot(resources))}`;
}
