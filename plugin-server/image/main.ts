#!/usr/bin/env node
/** `npx kms-etcd-plugin-image`, in a checkout `npm run image`: builds the plugin's image into a folder and says what came out. */
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { describeError, KmsEtcdError } from "../../core/errors";
import { architectures } from "./architecture";
import { buildBundle, packageRoot } from "./build-bundle";
import { buildImage } from "./build-image";

const usage = `kms-etcd-plugin-image [--out FOLDER] [--arch amd64,arm64]
Builds the image of the KMS plugin on Debian or Ubuntu: FOLDER/Dockerfile and FOLDER/rootfs for docker and buildah (it is
what PluginImage takes as its context), FOLDER/oci as an OCI layout, and FOLDER/sbom.*.cdx.json.
  --out    where the image goes (default .kms-etcd/image)
  --arch   which processors it is for (default all)
`;

async function main(args: readonly string[]): Promise<void> {
  const { out, arch, help } = readArguments(args);
  if (help === true) {
    process.stdout.write(usage);
    return;
  }
  const wanted = arch?.split(",") ?? architectures.map(({ name }) => name);
  const chosen = architectures.filter(({ name }) => wanted.includes(name));
  if (chosen.length < wanted.length)
    throw new KmsEtcdError("invalid-input", `--arch is ${arch}`, { remedy: "give amd64, arm64, or both" });
  const project = packageRoot();
  const { digest, images } = await buildImage({
    project,
    out,
    cache: join(
      process.env["KMS_ETCD_CACHE"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kms-etcd"),
      "image",
    ),
    architectures: chosen,
    ...(await buildBundle(project)),
  });
  for (const image of images) {
    process.stdout.write(
      `${image.architecture.padEnd(6)} ${image.digest}  ${(image.compressedBytes / 1e6).toFixed(1)} MB compressed\n`,
    );
  }
  process.stdout.write(
    `index  ${digest}\nimage: ${join(out, "oci")} (OCI layout), ${join(out, "Dockerfile")} (docker, buildah)\n`,
  );
}

function readArguments(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        out: { type: "string", default: ".kms-etcd/image" },
        arch: { type: "string" },
        help: { type: "boolean" },
      },
    });
    return { ...values, out: resolve(values.out) };
  } catch (cause) {
    throw new KmsEtcdError("invalid-input", (cause as Error).message, { remedy: "see --help", cause });
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`kms-etcd-plugin-image: ${describeError(error)}\n`);
  process.exit(1);
});
