/**
 * Builds the plugin's image without a container tool, for amd64 and arm64 at once, the same bytes every time:
 *   OUT/rootfs/<architecture>/   the root file system, for OUT/Dockerfile (docker and buildah) and for runc
 *   OUT/oci/                     the image as an OCI layout
 *   OUT/sbom.<architecture>.cdx.json
 */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BuildVersion } from "../version";
import type { Architecture } from "./architecture";
import type { Bundle } from "./bundle";
import { librariesFor } from "./debian-libraries";
import { writeTree } from "./file-tree";
import { licenseTexts } from "./licenses";
import { nodeBinary } from "./node-binary";
import { type WrittenLayout, writeOciLayout } from "./oci-layout";
import { entryPoint, imageEnvironment, imageUser, rootFilesystem } from "./root-filesystem";
import { softwareBill } from "./software-bill";

export interface ImageOptions {
  /** The root of this package, for its licence and the Dockerfile. */
  readonly project: string;
  readonly out: string;
  /** Downloaded packages are kept here. */
  readonly cache: string;
  readonly architectures: readonly Architecture[];
  readonly version: BuildVersion;
  readonly bundle: Bundle;
}

export async function buildImage({
  project,
  out,
  cache,
  architectures,
  version,
  bundle,
}: ImageOptions): Promise<WrittenLayout> {
  await mkdir(out, { recursive: true });
  const images = await Promise.all(
    architectures.map(async (architecture) => {
      const node = await nodeBinary(architecture, cache);
      const libraries = await librariesFor(node.program, architecture, cache);
      const bill = softwareBill({ architecture, version, npm: bundle.packages, debian: libraries.packages });
      const licenses = await licenseTexts(project, node.license, bundle.packages, libraries.packages);
      const { base, plugin } = rootFilesystem(node.program, libraries, bundle, { bill, licenses });
      await writeTree(join(out, "rootfs", architecture.name), [...base, ...plugin]);
      await writeFile(join(out, `sbom.${architecture.name}.cdx.json`), bill);
      return { architecture: architecture.name, layers: [base, plugin] };
    }),
  );
  await copyFile(join(project, "plugin-server", "image", "Dockerfile"), join(out, "Dockerfile"));
  return writeOciLayout(join(out, "oci"), version.version, images, {
    entryPoint: [entryPoint],
    environment: imageEnvironment,
    user: imageUser,
    seconds: Math.floor((Date.parse(version.date) || 0) / 1_000),
    annotations: {
      "org.opencontainers.image.title": "kms-etcd-plugin",
      "org.opencontainers.image.description": "Kubernetes KMS plugin for Azure Key Vault, AWS KMS and local keys",
      "org.opencontainers.image.licenses": "Apache-2.0",
      "org.opencontainers.image.version": version.version,
      ...(version.commit === "" ? {} : { "org.opencontainers.image.revision": version.commit }),
    },
  });
}
