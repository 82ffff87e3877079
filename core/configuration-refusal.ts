/**
 * Why API servers would not load an EncryptionConfiguration although each part of it is well formed: how its blocks, their
 * resources and the names of its providers stand to each other. The same from 1.27 on; read at v0.36.3 in k8s.io/apiserver,
 * pkg/apis/apiserver/validation/validation_encryption.go and pkg/server/options/encryptionconfig/config.go.
 */
import type { EncryptionConfiguration, ResourceBlock } from "./encryption-configuration";
import { covers } from "./resource-block";

export interface ConfigurationRefusal {
  /** The place in the document. */
  readonly path: string;
  readonly problem: string;
  readonly remedy: string;
}

/**
 * Undefined where API servers load it. A resource in several blocks is none of their concern: it is read with the providers of all of
 * them, and written with the first. `reload`: whether the server reloads by itself; then KMS v1 names are to be unique as well.
 */
export function refusalOf(config: EncryptionConfiguration, reload: boolean): ConfigurationRefusal | undefined {
  const earlier: string[] = [];
  const kmsNames = new Set<string>();
  for (const [index, block] of config.blocks.entries()) {
    const refusal =
      refusalInBlock(block, `resources[${index}].resources`) ??
      maskedIn(block, `resources[${index}].resources`, earlier);
    if (refusal !== undefined) return refusal;
    earlier.push(...block.resources);
    for (const [itemIndex, item] of block.providers.entries()) {
      if (item.kind !== "kms") continue;
      if ((reload || item.apiVersion === "v2") && kmsNames.has(item.name)) {
        return {
          path: `resources[${index}].providers[${itemIndex}].kms.name`,
          problem: `repeats "${item.name}"`,
          remedy: "give each KMS provider a name of its own",
        };
      }
      kmsNames.add(item.name);
    }
  }
  return undefined;
}

function refusalInBlock({ resources }: ResourceBlock, path: string): ConfigurationRefusal | undefined {
  for (const [index, name] of resources.entries()) {
    const at = `${path}[${index}]`;
    const wrong = nameProblem(name);
    if (wrong !== undefined) return { path: at, problem: `is "${name}", ${wrong.problem}`, remedy: wrong.remedy };
    if (resources.indexOf(name) < index)
      return { path: at, problem: `repeats "${name}"`, remedy: "name each resource once" };
    const other = resources.find((candidate) => covers(candidate, name));
    if (other !== undefined) {
      const remedy = `give "${other}" a block of its own, behind this one`;
      return { path: at, problem: `is "${name}", which "${other}" in the same list covers`, remedy };
    }
  }
  return undefined;
}

function maskedIn(block: ResourceBlock, path: string, earlier: readonly string[]): ConfigurationRefusal | undefined {
  for (const [index, name] of block.resources.entries()) {
    // A wildcard masks itself too, another resource that stands twice does not.
    const mask = earlier.find((before) => covers(before, name) || (before === name && name.startsWith("*.")));
    if (mask === undefined) continue;
    const remedy = `put the block of "${mask}" behind those of what it covers`;
    return { path: `${path}[${index}]`, problem: `is "${name}", which the earlier "${mask}" masks`, remedy };
  }
  return undefined;
}

/** Their stored objects are not reached by a REST API, so nobody could rewrite them. */
const withoutApi = ["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"];

function nameProblem(name: string): { readonly problem: string; readonly remedy: string } | undefined {
  const dot = name.indexOf(".");
  const group = dot < 0 ? "" : name.slice(dot + 1);
  if (name !== name.toLowerCase()) return { problem: "which has capital letters", remedy: "write it in small letters" };
  if (name === "*") return { problem: "which is no wildcard", remedy: 'write "*." for the core group, "*.*" for all' };
  if (withoutApi.includes(name)) return { problem: "which no API serves", remedy: "leave it out" };
  if (group === "events.k8s.io") return { problem: 'which is stored as "events"', remedy: 'write "events"' };
  if (group === "extensions") return { problem: "whose group is gone", remedy: "leave it out" };
  if (group === "*" && name !== "*.*")
    return { problem: "a resource across groups", remedy: 'name its group, or write "*.*" for all' };
  return undefined;
}
