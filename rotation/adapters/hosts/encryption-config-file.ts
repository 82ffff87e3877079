/**
 * The encryption configuration as a file. What people have written into it (comments, order, keys) stays where the model
 * allows it: the document that is there is edited, and written anew only where editing would not give the wanted model.
 */
import { isDeepStrictEqual } from "node:util";
import { type Document, isMap, isSeq, parseDocument, stringify, type YAMLSeq } from "yaml";
import { refusalOf } from "../../../core/configuration-refusal";
import {
  type EncryptionConfiguration,
  encryptionConfigurationDocument,
  type ProviderItem,
  readEncryptionConfiguration,
} from "../../../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../../../core/errors";

/**
 * Throws `invalid-input` for what no API server would load, with line and reason but never a part of the text, which may be key
 * material.
 */
export function parseEncryptionConfig(text: string): EncryptionConfiguration {
  const config = readEncryptionConfiguration(parse(text).toJS());
  const refusal = refusalOf(config, false);
  if (refusal === undefined) return config;
  const { path, problem, remedy } = refusal;
  throw new KmsEtcdError("invalid-input", `encryption configuration: ${path} ${problem}`, { remedy });
}

/** The text of `config`: `present` edited, if that is an encryption configuration, or a new one. */
export function renderEncryptionConfig(config: EncryptionConfiguration, present: string | undefined): string {
  const edited = present === undefined ? undefined : edit(present, config);
  return edited ?? stringify(encryptionConfigurationDocument(config), { lineWidth: 0, ...asApiServersRead });
}

/** The same configuration with other endpoints. */
export function mapEndpoints(
  config: EncryptionConfiguration,
  change: (endpoint: string) => string,
): EncryptionConfiguration {
  const changed = (item: ProviderItem) => (item.kind === "kms" ? { ...item, endpoint: change(item.endpoint) } : item);
  return { blocks: config.blocks.map((block) => ({ ...block, providers: block.providers.map(changed) })) };
}

/**
 * API servers read YAML 1.1 (sigs.k8s.io/yaml): they merge `<<`, and a key that is named yes or 2024_01 is text to them only in
 * quotes.
 */
const asApiServersRead = { compat: "yaml-1.1", merge: true } as const;

function parse(text: string): Document.Parsed {
  // The library's own messages quote the text around the error.
  const document = parseDocument(text, { prettyErrors: false, ...asApiServersRead });
  const error = document.errors[0];
  if (error === undefined) return document;
  const line = text.slice(0, error.pos[0]).split("\n").length;
  throw new KmsEtcdError("invalid-input", `encryption configuration: line ${line} is not YAML (${error.code})`, {
    remedy: "mend the file; the one that the API server has loaded may be in the backup directory, by its hash",
  });
}

function edit(present: string, config: EncryptionConfiguration): string | undefined {
  try {
    const document = parse(present);
    const before = readEncryptionConfiguration(document.toJS());
    const blocks = document.get("resources");
    if (!isSeq(blocks)) return undefined;
    const wanted = encryptionConfigurationDocument(config)["resources"] as readonly Record<string, unknown>[];
    const free = before.blocks.map((block, index) => ({ block, node: blocks.items[index] }));
    blocks.items = config.blocks.map((block, index) => {
      const found = free.findIndex((candidate) => isDeepStrictEqual(candidate.block.resources, block.resources));
      const [kept] = found < 0 ? [] : free.splice(found, 1);
      const providers = isMap(kept?.node) ? kept.node.get("providers") : undefined;
      if (kept === undefined || !isSeq(providers)) return document.createNode(wanted[index]);
      editProviders(document, providers, kept.block.providers, block.providers, wanted[index]?.["providers"]);
      return kept.node;
    });
    const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
    return isDeepStrictEqual(parseEncryptionConfig(text), config) ? text : undefined;
  } catch (thrown) {
    // What can't be read can't be edited; whoever asked for the replacement has said by hash that it may go.
    if (thrown instanceof KmsEtcdError || thrown instanceof ReferenceError) return undefined;
    throw new KmsEtcdError("internal", `encryption configuration: cannot edit the file: ${describeError(thrown)}`);
  }
}

/** Keeps the nodes of the items that stay, with their comments, in the wanted order. */
function editProviders(
  document: Document.Parsed,
  providers: YAMLSeq,
  before: readonly ProviderItem[],
  after: readonly ProviderItem[],
  documents: unknown,
): void {
  const free = before.map((item, index) => ({ item, node: providers.items[index] }));
  providers.items = after.map((item, index) => {
    const found = free.findIndex((candidate) => isDeepStrictEqual(candidate.item, item));
    const [kept] = found < 0 ? [] : free.splice(found, 1);
    return kept?.node ?? document.createNode((documents as readonly unknown[])[index]);
  });
}
