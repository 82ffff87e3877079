/** What a file asset runs, if it is a KMS plugin's static pod: ours, or one that somebody made by hand after the upstream guide. */
import { parseDocument } from "yaml";
import { assetPath, type FileAsset } from "./cluster-spec";
import { manifestDirectory } from "./plugin-asset";

/** A KMS plugin as a static pod of the cluster's spec. */
export interface AssetPlugin {
  readonly asset: FileAsset;
  /** The pod's name. */
  readonly name: string;
  /** Paths of the sockets that it listens on, in the order of `keys`. */
  readonly sockets: readonly string[];
  /** What `--key` has: ARNs, ids or aliases. */
  readonly keys: readonly string[];
  /** What `--region` has; absent: the machine's own. */
  readonly region?: string;
  /** Ports on the host that its health server takes; empty where it can't be told. */
  readonly ports: readonly number[];
}

/** What texts say, because the same few are asked for many times in each decision. */
const understood = new Map<string, Omit<AssetPlugin, "asset"> | undefined>();
const mostUnderstood = 200;

/** The plugin in `asset`; undefined for any other file, and for one that can't be understood. */
export function readAssetPlugin(asset: FileAsset): AssetPlugin | undefined {
  if (!assetPath(asset).startsWith(`${manifestDirectory}/`)) return undefined;
  const key = JSON.stringify([asset.name, asset.isBase64 === true, asset.content]);
  if (!understood.has(key)) {
    if (understood.size >= mostUnderstood) understood.clear();
    understood.set(key, readManifest(asset));
  }
  const plugin = understood.get(key);
  return plugin && { asset, ...plugin };
}

function readManifest(asset: FileAsset): Omit<AssetPlugin, "asset"> | undefined {
  const text = assetText(asset);
  const document = text === undefined ? undefined : parseDocument(text, { prettyErrors: false });
  if (document === undefined || document.errors.length > 0) return undefined;
  const pod = document.toJS() as Pod | null;
  const containers: unknown = pod?.spec?.containers;
  if (pod?.kind !== "Pod" || !Array.isArray(containers)) return undefined;
  for (const container of containers as readonly Container[]) {
    const words = [...texts(container.command), ...texts(container.args)];
    const keys = valuesOf(words, "key");
    const sockets = valuesOf(words, "listen");
    if (keys.length === 0 || sockets.length === 0) continue;
    const ports = valuesOf(words, "health-port").flatMap((value) => Number(value.split(":").at(-1)) || []);
    const [region] = valuesOf(words, "region");
    return { name: pod.metadata?.name ?? asset.name, sockets, keys, ports, ...(region !== undefined && { region }) };
  }
  return undefined;
}

/** An asset's text as the machine would have it; undefined where nodeup can't decode it. */
export function assetText(asset: FileAsset): string | undefined {
  if (asset.isBase64 !== true) return asset.content;
  return isUnpaddedBase64(asset.content) ? Buffer.from(asset.content, "base64").toString("utf8") : undefined;
}

/** Go's RawStdEncoding skips line ends and takes nothing else: no padding, no URL alphabet. */
export function isUnpaddedBase64(text: string): boolean {
  const letters = text.replace(/[\r\n]/g, "");
  return /^[A-Za-z0-9+/]*$/.test(letters) && letters.length % 4 !== 1;
}

interface Pod {
  readonly kind?: string;
  readonly metadata?: { readonly name?: string };
  readonly spec?: { readonly containers?: unknown };
}

interface Container {
  readonly command?: unknown;
  readonly args?: unknown;
}

/** Values of `--name=a,b` and of `--name a,b`, repeated or not. */
function valuesOf(words: readonly string[], name: string): readonly string[] {
  return words.flatMap((word, index) => {
    const inline = new RegExp(`^--?${name}=(.*)$`).exec(word)?.[1];
    const next = word === `--${name}` ? words[index + 1] : undefined;
    return (inline ?? next ?? "").split(",").filter((value) => value !== "");
  });
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((word): word is string => typeof word === "string") : [];
}
