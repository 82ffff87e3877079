/** `npm run image`: builds the plugin's image into a folder and says what came out. */
import { execFile } from "node:child_process";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { describeError, KmsEtcdError } from "../../core/errors";
import { type BuildVersion, buildVersion } from "../version";
import { architectures } from "./architecture";
import { buildImage } from "./build-image";

const usage = `npm run image -- [--out FOLDER] [--arch amd64,arm64]
  --out    where the image goes (default .kms-etcd/image)
  --arch   which processors it is for (default all)
`;

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: "string", default: ".kms-etcd/image" },
      arch: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    process.stdout.write(usage);
    return;
  }
  const wanted = values.arch?.split(",") ?? architectures.map(({ name }) => name);
  const chosen = architectures.filter(({ name }) => wanted.includes(name));
  if (chosen.length < wanted.length)
    throw new KmsEtcdError("invalid-input", `--arch is ${values.arch}`, { remedy: "give amd64, arm64, or both" });
  const out = resolve(values.out);
  const cache = join(
    process.env["KMS_ETCD_CACHE"] ?? join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "kms-etcd"),
    "image",
  );
  const project = process.cwd();
  const { digest, images } = await buildImage({
    project,
    out,
    cache,
    architectures: chosen,
    version: await versionOf(project),
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

/** Date and commit of what is checked out, so that the same checkout gives the same image. */
async function versionOf(project: string): Promise<BuildVersion> {
  const { version } = buildVersion();
  const log = await promisify(execFile)("git", ["log", "-1", "--format=%H %cI"], { cwd: project }).catch(
    () => undefined,
  );
  const [commit = "", date = ""] = log?.stdout.trim().split(" ") ?? [];
  const epoch = process.env["SOURCE_DATE_EPOCH"];
  return {
    version,
    commit,
    date:
      date === "" && epoch === undefined
        ? ""
        : new Date(epoch === undefined ? date : Number(epoch) * 1_000).toISOString(),
  };
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`image: ${describeError(error)}\n`);
  process.exit(1);
});
