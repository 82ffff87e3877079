/**
 * Stands in for the provider of @pulumi/docker-build, whose binary needs a download and docker: the same inputs and outputs of
 * an Image, refused where the real one or BuildKit would refuse them. Given KMS_ETCD_TEST_BUILDAH it builds with
 * buildah and pushes into an OCI layout in that directory; otherwise the digest is made of the context.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join, relative } from "node:path";
import * as provider from "@pulumi/pulumi/provider";

const knownInputs = ["buildOnPreview", "context", "network", "platforms", "push", "registries", "tags"];

interface ImageInputs {
  readonly buildOnPreview?: boolean;
  readonly context?: { readonly location?: string };
  readonly platforms?: readonly string[];
  readonly push?: boolean;
  readonly registries?: readonly Readonly<Record<string, string>>[];
  readonly tags?: readonly string[];
}

/** Where the test reads what was asked of us, one line each. */
function tell(line: string): void {
  const file = process.env["KMS_ETCD_TEST_DOCKER_LOG"];
  if (file !== undefined) appendFileSync(file, `${line}\n`);
}

const secretSignature = "4dabf18193072939515e22adb298388d";

/** The inputs without Pulumi's marks for secrets. */
function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  if (secretSignature in value) return plain((value as { readonly value?: unknown }).value);
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]));
}

function problems(inputs: ImageInputs): readonly provider.CheckFailure[] {
  const failures: provider.CheckFailure[] = [];
  const fail = (property: string, reason: string) => failures.push({ property, reason });
  for (const name of Object.keys(inputs)) if (!knownInputs.includes(name)) fail(name, "is not known to the stand-in");
  const location = inputs.context?.location ?? "";
  if (!existsSync(join(location, "Dockerfile"))) fail("context.location", `there is no Dockerfile in "${location}"`);
  for (const platform of inputs.platforms ?? []) {
    const [os, architecture = ""] = platform.split("/");
    if (os !== "linux" || !existsSync(join(location, "rootfs", architecture)))
      fail("platforms", `the Dockerfile copies rootfs/${architecture}, which is not in the context`);
  }
  if (inputs.push !== true) fail("push", "must be true: what is not pushed has no digest");
  if (inputs.tags?.length !== 1 || !/^[^/]+\/.+:[^/:]+$/.test(inputs.tags[0] ?? ""))
    fail("tags", `one fully qualified tag is wanted, not ${String(inputs.tags)}`);
  for (const { address, username, password } of inputs.registries ?? []) {
    if (!inputs.tags?.[0]?.startsWith(`${address}/`) || !username || !password)
      fail("registries", `the login for ${address} is of no use for ${String(inputs.tags)}`);
  }
  return failures;
}

function contextHash(location: string): string {
  const hash = createHash("sha256");
  for (const entry of readdirSync(location, { recursive: true, withFileTypes: true }).sort((a, b) =>
    join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1,
  )) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) continue;
    const content = entry.isSymbolicLink() ? readlinkSync(path) : readFileSync(path);
    hash.update(`${relative(location, path)} ${lstatSync(path).mode} `).update(content);
  }
  return hash.digest("hex");
}

function build(inputs: ImageInputs): string {
  const location = inputs.context?.location ?? "";
  const storage = process.env["KMS_ETCD_TEST_BUILDAH"];
  if (storage === undefined) return `sha256:${contextHash(location)}`;
  const buildah = (...args: readonly string[]) =>
    execFileSync(
      "buildah",
      ["--root", join(storage, "store"), "--runroot", join(storage, "run"), "--storage-driver", "vfs", ...args],
      { env: { ...process.env, BUILDAH_ISOLATION: "chroot" }, stdio: ["ignore", "ignore", "pipe"] },
    );
  const [tag = ""] = inputs.tags ?? [];
  for (const platform of inputs.platforms ?? []) {
    const target = `TARGETARCH=${platform.split("/")[1] ?? ""}`;
    buildah("bud", "--quiet", "--platform", platform, "--build-arg", target, "--manifest", tag, location);
  }
  const digestFile = join(storage, "digest");
  buildah("manifest", "push", "--all", "--digestfile", digestFile, tag, `oci:${join(storage, "registry")}`);
  return readFileSync(digestFile, "utf8").trim();
}

function outputs(given: ImageInputs): Record<string, unknown> {
  const inputs = plain(given) as ImageInputs;
  const digest = build(inputs);
  tell(`built ${digest}`);
  const hash = contextHash(inputs.context?.location ?? "");
  return { ...given, digest, ref: `${inputs.tags?.[0]}@${digest}`, contextHash: hash };
}

const standIn: provider.Provider = {
  // Newer than any SDK asks for: an older one is warned of.
  version: "99.0.0",
  check: async (_urn, _olds, news: ImageInputs) => ({
    inputs: news,
    failures: [...problems(plain(news) as ImageInputs)],
  }),
  diff: async (_id, _urn, olds: ImageInputs & { readonly contextHash: string }, news: ImageInputs) => ({
    changes:
      olds.contextHash !== contextHash(news.context?.location ?? "") ||
      JSON.stringify([olds.tags, olds.platforms]) !== JSON.stringify([news.tags, news.platforms]),
  }),
  create: async (_urn, inputs: ImageInputs) => ({ id: "image", outs: outputs(inputs) }),
  update: async (_id, _urn, _olds, news: ImageInputs) => ({ outs: outputs(news) }),
  delete: async () => tell("deleted"),
};

void provider.main(standIn, process.argv.slice(2));
