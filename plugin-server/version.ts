/** Which build this is. The image's bundle has the values built in; from a checkout they come from package.json. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

export interface BuildVersion {
  /** Semantic, with "v" in front, as API servers expect of a KMS v1 runtime. */
  readonly version: string;
  readonly commit: string;
  readonly date: string;
}

/** Put in by the bundler (plugin-server/image). */
declare const KMS_ETCD_BUILD: BuildVersion | undefined;

export function buildVersion(): BuildVersion {
  if (typeof KMS_ETCD_BUILD !== "undefined") return KMS_ETCD_BUILD;
  for (let directory = __dirname; directory !== dirname(directory); directory = dirname(directory)) {
    const manifest = readManifest(join(directory, "package.json"));
    if (manifest?.version !== undefined) return { version: `v${manifest.version}`, commit: "", date: "" };
  }
  return { version: "v0.0.0", commit: "", date: "" };
}

function readManifest(path: string): { readonly version?: string } | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as { readonly version?: string };
  } catch {
    return undefined;
  }
}
