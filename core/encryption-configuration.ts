/**
 * The model of an API server's EncryptionConfiguration (apiserver.config.k8s.io/v1). Reading and writing its YAML is
 * `rotation/adapters/hosts`' business; order and meaning are decided here.
 * Rules: k8s.io/apiserver pkg/apis/apiserver/validation/validation_encryption.go (read at v0.36.3).
 */
import { KmsEtcdError } from "./errors";
import { localProviderId } from "./stored-value";
import { identityProvider, type ProviderId } from "./write-key";

/** A named key of aesgcm, aescbc or secretbox. `secret` is key material: it is written to the file and shown nowhere. */
export interface LocalProviderKey {
  readonly name: string;
  readonly secret: string;
}

export interface IdentityItem {
  readonly kind: "identity";
}

export interface LocalItem {
  readonly kind: "aesgcm" | "aescbc" | "secretbox";
  readonly keys: readonly LocalProviderKey[];
}

export interface KmsItem {
  readonly kind: "kms";
  readonly apiVersion: "v1" | "v2";
  readonly name: string;
  /** `unix:///path`. */
  readonly endpoint: string;
  /** Go duration; the API server's default is 3s. */
  readonly timeout?: string;
  /** KMS v1 only; the API server's default is 1000, a negative number turns the cache off. */
  readonly cachesize?: number;
}

export type ProviderItem = IdentityItem | LocalItem | KmsItem;

/** One entry of `resources`: these resources, encrypted by the first provider, readable by all. */
export interface ResourceBlock {
  readonly resources: readonly string[];
  readonly providers: readonly ProviderItem[];
}

export interface EncryptionConfiguration {
  readonly blocks: readonly ResourceBlock[];
}

/** The providers that `item` can read, its writer first: one, except for a local item with several keys. */
export function providerIds(item: ProviderItem): readonly ProviderId[] {
  switch (item.kind) {
    case "identity":
      return [identityProvider];
    case "kms":
      return [`kms/${item.apiVersion}/${item.name}`];
    default:
      return item.keys.map((key) => localProviderId(item.kind, key.name));
  }
}

/** The provider that encrypts new writes when `items` is a resource's list; `identity` for an empty list. */
export function writerOf(items: readonly ProviderItem[]): ProviderId {
  const first = items[0];
  return (first && providerIds(first)[0]) ?? identityProvider;
}

/** All providers that a list can read. */
export function readersOf(items: readonly ProviderItem[]): ReadonlySet<ProviderId> {
  return new Set(items.flatMap(providerIds));
}

/** `unix://` endpoints of the KMS plugins that an API server asks with this configuration. */
export function endpointsOf({ blocks }: EncryptionConfiguration): ReadonlySet<string> {
  const items = blocks.flatMap((block) => block.providers);
  return new Set(items.flatMap((item) => (item.kind === "kms" ? [item.endpoint] : [])));
}

/**
 * The model of a parsed YAML or JSON document. Throws `invalid-input` where an API server would refuse the file,
 * naming the path inside the document and never a key's secret.
 */
export function readEncryptionConfiguration(document: unknown): EncryptionConfiguration {
  const root = asRecord(document, "the document");
  const kind = root["kind"];
  // The legacy names are still registered: apiserver pkg/apis/apiserver/v1/register.go.
  if (kind !== "EncryptionConfiguration" && kind !== "EncryptionConfig") {
    throw invalid("kind", `is ${JSON.stringify(kind)}`, "write kind: EncryptionConfiguration");
  }
  const blocks = asArray(root["resources"], "resources").map((entry, index) => readBlock(entry, `resources[${index}]`));
  if (blocks.length === 0) throw invalid("resources", "is empty", "name at least one resource");
  refuseRepeatedNames(blocks);
  return { blocks };
}

/** The document for a model, ready for a YAML or JSON writer. `readEncryptionConfiguration` gives the model back. */
export function encryptionConfigurationDocument(config: EncryptionConfiguration): Record<string, unknown> {
  return {
    apiVersion: "apiserver.config.k8s.io/v1",
    kind: "EncryptionConfiguration",
    resources: config.blocks.map((block) => ({
      resources: [...block.resources],
      providers: block.providers.map(itemDocument),
    })),
  };
}

function itemDocument(item: ProviderItem): Record<string, unknown> {
  switch (item.kind) {
    case "identity":
      return { identity: {} };
    case "kms":
      return {
        kms: {
          apiVersion: item.apiVersion,
          name: item.name,
          endpoint: item.endpoint,
          ...(item.cachesize === undefined ? {} : { cachesize: item.cachesize }),
          ...(item.timeout === undefined ? {} : { timeout: item.timeout }),
        },
      };
    default:
      return { [item.kind]: { keys: item.keys.map((key) => ({ name: key.name, secret: key.secret })) } };
  }
}

function readBlock(entry: unknown, path: string): ResourceBlock {
  const block = asRecord(entry, path);
  const resources = asArray(block["resources"], `${path}.resources`).map((name, index) =>
    asText(name, `${path}.resources[${index}]`),
  );
  const providers = asArray(block["providers"], `${path}.providers`).map((item, index) =>
    readItem(item, `${path}.providers[${index}]`),
  );
  if (resources.length === 0) throw invalid(`${path}.resources`, "is empty", "name at least one resource");
  if (providers.length === 0) throw invalid(`${path}.providers`, "is empty", "name at least one provider");
  return { resources, providers };
}

function readItem(entry: unknown, path: string): ProviderItem {
  const item = asRecord(entry, path);
  // What stands there without a value is not there for API servers: their fields are pointers.
  const kinds = Object.keys(item).filter((name) => item[name] !== null);
  const kind = kinds[0];
  if (kinds.length !== 1 || kind === undefined) {
    throw invalid(
      path,
      `names ${kinds.length} provider types`,
      "write exactly one of kms, identity, aesgcm, aescbc, secretbox",
    );
  }
  switch (kind) {
    case "identity":
      return { kind };
    case "kms":
      return readKms(asRecord(item[kind], `${path}.kms`), `${path}.kms`);
    case "aesgcm":
    case "aescbc":
    case "secretbox": {
      const keys = asArray(asRecord(item[kind], `${path}.${kind}`)["keys"], `${path}.${kind}.keys`).map(
        (key, index) => {
          const at = `${path}.${kind}.keys[${index}]`;
          const record = asRecord(key, at);
          return { name: asText(record["name"], `${at}.name`), secret: asText(record["secret"], `${at}.secret`) };
        },
      );
      if (keys.length === 0) throw invalid(`${path}.${kind}.keys`, "is empty", "name at least one key");
      return { kind, keys };
    }
    default:
      throw invalid(
        path,
        `names the unknown provider type "${kind}"`,
        "use kms, identity, aesgcm, aescbc or secretbox",
      );
  }
}

function readKms(kms: Readonly<Record<string, unknown>>, path: string): KmsItem {
  const apiVersion = kms["apiVersion"] ?? "v1";
  if (apiVersion !== "v1" && apiVersion !== "v2") {
    throw invalid(`${path}.apiVersion`, `is ${JSON.stringify(apiVersion)}`, "write v1 or v2");
  }
  const name = asText(kms["name"], `${path}.name`);
  if (apiVersion === "v2" && name.includes(":"))
    throw invalid(`${path}.name`, 'contains ":"', "choose a name without it");
  const endpoint = asText(kms["endpoint"], `${path}.endpoint`);
  if (!endpoint.startsWith("unix://"))
    throw invalid(`${path}.endpoint`, `is "${endpoint}"`, "write unix:///path/of/the.socket");
  const timeout = kms["timeout"] ?? undefined;
  const cachesize = kms["cachesize"] ?? undefined;
  if (apiVersion === "v2" && cachesize !== undefined)
    throw invalid(`${path}.cachesize`, "is for KMS v1 only", "remove it");
  if (cachesize !== undefined && (typeof cachesize !== "number" || !Number.isInteger(cachesize) || cachesize === 0)) {
    throw invalid(`${path}.cachesize`, `is ${JSON.stringify(cachesize)}`, "write a whole number other than 0");
  }
  return {
    kind: "kms",
    apiVersion,
    name,
    endpoint,
    ...(timeout === undefined ? {} : { timeout: asText(timeout, `${path}.timeout`) }),
    ...(cachesize === undefined ? {} : { cachesize }),
  };
}

function refuseRepeatedNames(blocks: readonly ResourceBlock[]): void {
  const seen = new Set<string>();
  for (const [blockIndex, block] of blocks.entries()) {
    for (const [itemIndex, item] of block.providers.entries()) {
      if (item.kind !== "kms") continue;
      if (item.apiVersion === "v2" && seen.has(item.name)) {
        throw invalid(
          `resources[${blockIndex}].providers[${itemIndex}].kms.name`,
          `repeats "${item.name}"`,
          "give each KMS provider a name of its own",
        );
      }
      seen.add(item.name);
    }
  }
}

function invalid(path: string, problem: string, remedy: string): KmsEtcdError {
  return new KmsEtcdError("invalid-input", `encryption configuration: ${path} ${problem}`, { remedy });
}

function asRecord(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw invalid(path, "is not an object", "see https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/");
}

function asArray(value: unknown, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(path, "is not a list", "see https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/");
}

function asText(value: unknown, path: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw invalid(path, "is not a text", "write a text that is not empty");
}
