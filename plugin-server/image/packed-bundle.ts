/**
 * The bundle as the npm package carries it, so that `npx kms-etcd-plugin-image` needs neither the sources nor a bundler, and
 * puts the very bytes into the image that the package was released with.
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import type { BuildVersion } from "../version";
import type { Bundle, BundledPackage } from "./bundle";

export interface PackedBundle {
  readonly version: BuildVersion;
  readonly bundle: Bundle;
}

interface Contents {
  readonly version: BuildVersion;
  readonly files: readonly string[];
  readonly packages: readonly BundledPackage[];
}

/** Inside the package. */
const folder = join("dist", "plugin-bundle");
const contentsFile = "contents.json";

export async function writePackedBundle(project: string, { version, bundle }: PackedBundle): Promise<void> {
  const directory = join(project, folder);
  await rm(directory, { recursive: true, force: true });
  for (const { path, content } of bundle.files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
  const contents: Contents = { version, files: bundle.files.map(({ path }) => path), packages: bundle.packages };
  await writeFile(join(directory, contentsFile), JSON.stringify(contents));
}

/** Throws `not-found` in a package that was packed without its bundle. */
export async function readPackedBundle(project: string): Promise<PackedBundle> {
  const directory = join(project, folder);
  try {
    const contents = JSON.parse(await readFile(join(directory, contentsFile), "utf8")) as Contents;
    const files = contents.files.map(async (path) => ({ path, content: await readFile(join(directory, path)) }));
    return { version: contents.version, bundle: { files: await Promise.all(files), packages: contents.packages } };
  } catch (cause) {
    throw new KmsEtcdError("not-found", `this package has no bundle of the plugin in ${directory}`, {
      remedy: "install the package from its registry again",
      cause,
    });
  }
}
