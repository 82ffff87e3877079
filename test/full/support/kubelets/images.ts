/** What the machines run: images of programs that are on this machine, by the same code that writes the plugin's image, as archives for `ctr images import`. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { create } from "tar";
import { architectures } from "../../../../plugin-server/image/architecture";
import { buildBundle, packageRoot } from "../../../../plugin-server/image/build-bundle";
import { buildImage } from "../../../../plugin-server/image/build-image";
import { writeOciLayout } from "../../../../plugin-server/image/oci-layout";
import { cacheDirectory } from "../../../../tools/cache-directory";
import { thisPlatform } from "../../../../tools/catalog";
import type { FoundTool } from "../../../../tools/find-tool";
import { pauseProgram } from "./pause-program";

/** There is no such registry: the images are on the machines before anything asks for them. */
export const imageRepository = "kms-etcd.example";
export const pauseImage = `${imageRepository}/pause:1`;

export interface ClusterImages {
  readonly archives: readonly ArchivedImage[];
  /** The plugin's, by its digest. */
  readonly plugin: string;
}

/** kubeadm's names for etcd and the API server; the plugin's as `npm run image` builds it. */
export async function clusterImages(
  directory: string,
  { etcd, apiServer }: Readonly<Record<"etcd" | "apiServer", FoundTool>>,
): Promise<ClusterImages> {
  const { architecture } = thisPlatform();
  const project = packageRoot();
  const layout = join(directory, "plugin");
  await mkdir(layout, { recursive: true });
  const plugin = await buildImage({
    project,
    out: layout,
    cache: join(cacheDirectory(), "image"),
    architectures: architectures.filter(({ name }) => name === architecture),
    ...(await buildBundle(project)),
  });
  const repository = `${imageRepository}/kms-etcd-plugin`;
  const program = (name: string, tag: string, content: string | Buffer) =>
    programImage(directory, { repository: `${imageRepository}/${name}`, tag, program: name, content });
  return {
    archives: [
      await program("pause", "1", pauseProgram(architecture)),
      await program("etcd", etcd.version, etcd.path),
      await program("kube-apiserver", `v${apiServer.version}`, apiServer.path),
      await archiveLayout(join(layout, "oci"), repository),
    ],
    plugin: `${repository}@${plugin.digest}`,
  };
}

export interface ArchivedImage {
  /** Of the .tar file. */
  readonly file: string;
  /** Without tag and digest. */
  readonly repository: string;
}

/** One layer with the program in /usr/local/bin, where manifests of kubeadm look for it. */
async function programImage(
  directory: string,
  image: {
    readonly repository: string;
    readonly tag: string;
    readonly program: string;
    readonly content: string | Buffer;
  },
): Promise<ArchivedImage> {
  const { repository, tag, program } = image;
  const path = `usr/local/bin/${program}`;
  const content = typeof image.content === "string" ? await readFile(image.content) : image.content;
  const layout = join(directory, program);
  await writeOciLayout(
    layout,
    tag,
    [
      {
        architecture: thisPlatform().architecture,
        layers: [
          [
            { kind: "file", path, mode: 0o755, content },
            { kind: "directory", path: "tmp", mode: 0o1777 },
          ],
        ],
      },
    ],
    { entryPoint: [`/${path}`], environment: ["PATH=/usr/local/bin"], user: "0:0", seconds: 0, annotations: {} },
  );
  return archiveLayout(layout, repository);
}

/** Of an OCI layout. */
async function archiveLayout(layout: string, repository: string): Promise<ArchivedImage> {
  const file = `${layout}.tar`;
  await create({ file, cwd: layout, portable: true }, ["oci-layout", "index.json", "blobs"]);
  return { file, repository };
}
