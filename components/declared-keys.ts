/** Makes or names one key for each declared version, whatever cloud it lives in. */
import * as pulumi from "@pulumi/pulumi";
import type { DeclaredKeyArgs } from "./encryption-rollout";
import { LocalKey } from "./local-key";
import type { LocalKeySourceArgs } from "./local-key-source";

/** What all key blocks have in common. */
export interface DeclaredKeysOptions {
  /** The component's name; children are named after it, and these names are identity: never change them. */
  readonly name: string;
  readonly parent: pulumi.Resource;
  readonly versions: readonly number[];
}

/** The blocks that say where a key lives. Inputs without violations have exactly one of them. */
export interface KeyBlocks {
  readonly localKey?: LocalKeySourceArgs;
}

/** The keys of the block that is given. */
export function declaredKeys(blocks: KeyBlocks, options: DeclaredKeysOptions): DeclaredKeyArgs[] {
  return blocks.localKey === undefined ? [] : localKeys(blocks.localKey, options);
}

/**
 * One LocalKey a version. The file is never deleted with the resource, so a mistake can't lose a key; protecting the resource
 * too would only keep a version from being undeclared.
 */
function localKeys(source: LocalKeySourceArgs, options: DeclaredKeysOptions): DeclaredKeyArgs[] {
  return options.versions.map((version) => {
    const key = new LocalKey(
      `${options.name}-key-v${version}`,
      { file: pulumi.interpolate`${source.directory}/key-v${version}` },
      { parent: options.parent, retainOnDelete: true },
    );
    return { version, local: { file: key.file, keyId: key.keyId } };
  });
}
