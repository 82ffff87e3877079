/** An OCI image layout: an index over one image for each architecture. Same entries and time, same digests. */
import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { TreeEntry } from "./file-tree";
import { tarArchive } from "./tar-archive";

export interface PlatformImage {
  readonly architecture: string;
  readonly layers: readonly (readonly TreeEntry[])[];
}

export interface ImageSettings {
  readonly entryPoint: readonly string[];
  /** `NAME=value`. */
  readonly environment: readonly string[];
  readonly user: string;
  /** Of all files and of the image, since 1970. */
  readonly seconds: number;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface WrittenImage {
  readonly architecture: string;
  readonly digest: string;
  /** What is pulled: manifest, configuration and layers. */
  readonly compressedBytes: number;
}

export interface WrittenLayout {
  /** Of the index over all architectures. */
  readonly digest: string;
  readonly images: readonly WrittenImage[];
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const types = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
} as const;
/** The best ratio that costs seconds, not a minute. */
const compression = { level: 6 } as const;
const compress = promisify(gzip) as (bytes: Buffer, options: typeof compression) => Promise<Buffer>;

/** @param tag the name that the layout gives its image. */
export async function writeOciLayout(
  directory: string,
  tag: string,
  images: readonly PlatformImage[],
  settings: ImageSettings,
): Promise<WrittenLayout> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(join(directory, "blobs", "sha256"), { recursive: true });
  const put = async (mediaType: string, content: Buffer | object): Promise<Descriptor> => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    const hex = createHash("sha256").update(bytes).digest("hex");
    await writeFile(join(directory, "blobs", "sha256", hex), bytes);
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
  };
  const written = await Promise.all(images.map((image) => writeImage(image, settings, put)));
  const index = await put(types.index, {
    schemaVersion: 2,
    mediaType: types.index,
    manifests: written.map(({ architecture, manifest }) => ({ ...manifest, platform: { architecture, os: "linux" } })),
    annotations: settings.annotations,
  });
  const named = { ...index, annotations: { "org.opencontainers.image.ref.name": tag } };
  await writeFile(
    join(directory, "index.json"),
    JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [named] }),
  );
  await writeFile(join(directory, "oci-layout"), JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  return {
    digest: index.digest,
    images: written.map(({ architecture, manifest, compressedBytes }) => ({
      architecture,
      digest: manifest.digest,
      compressedBytes,
    })),
  };
}

async function writeImage(
  { architecture, layers }: PlatformImage,
  { entryPoint, environment, user, seconds, annotations }: ImageSettings,
  put: (mediaType: string, content: Buffer | object) => Promise<Descriptor>,
) {
  const archives = layers.map((entries) => tarArchive(entries, seconds));
  const blobs = await Promise.all(
    archives.map(async (archive) => put(types.layer, await compress(archive, compression))),
  );
  const created = new Date(seconds * 1_000).toISOString();
  const config = await put(types.config, {
    created,
    architecture,
    os: "linux",
    config: { User: user, Env: environment, Entrypoint: entryPoint, WorkingDir: "/", Labels: annotations },
    rootfs: {
      type: "layers",
      diff_ids: archives.map((archive) => `sha256:${createHash("sha256").update(archive).digest("hex")}`),
    },
    history: archives.map(() => ({ created })),
  });
  const manifest = await put(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config,
    layers: blobs,
    annotations,
  });
  const compressedBytes = [manifest, config, ...blobs].reduce((sum, { size }) => sum + size, 0);
  return { architecture, manifest, compressedBytes };
}
