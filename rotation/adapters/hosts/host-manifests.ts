/** The manifests that a host's kubelet runs. */
import { join } from "node:path";
import type { Host } from "./host";
import { type Manifest, parseManifest } from "./manifest";

/** Files that are no Pods, and hidden ones, are none to a kubelet either. */
export async function hostManifests(host: Host, directory: string): Promise<readonly Manifest[]> {
  const names = (await host.listFiles(directory)).filter((name) => !name.startsWith("."));
  const texts = await Promise.all(names.map((name) => host.readFile(join(directory, name))));
  return texts.flatMap((file) => (file && parseManifest(file.bytes.toString("utf8"))) ?? []);
}
