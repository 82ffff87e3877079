/** The shared libraries that Node asks for, from Debian's packages, which exist for every architecture. */
import { mkdir, readdir, readFile, readlink, realpath, rm, writeFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import type { Architecture } from "./architecture";
import { readElf } from "./elf";
import type { TreeEntry } from "./file-tree";
import { runCommand } from "./run-command";

const packageNames = ["libc6", "libstdc++6", "libgcc-s1"] as const;

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly copyright: string;
}

export interface Libraries {
  readonly entries: readonly TreeEntry[];
  readonly packages: readonly DebianPackage[];
}

/** Everything that `program` and its libraries ask for, where the loader looks for it. */
export async function librariesFor(program: Buffer, architecture: Architecture, cache: string): Promise<Libraries> {
  const directory = await unpackedPackages(architecture, cache);
  const found = new Map<string, TreeEntry>();
  const { interpreter, needed } = readElf(program, "node");
  if (interpreter === undefined) throw new KmsEtcdError("corrupt", "node names no dynamic loader");
  const loader = basename(interpreter);
  const open: string[] = [...needed];
  found.set(loader, {
    kind: "file",
    path: interpreter.slice(1),
    mode: 0o755,
    content: (await library(directory, loader)).content,
  });
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    const { path, content } = await library(directory, name);
    found.set(name, { kind: "file", path, mode: 0o644, content });
    open.push(...readElf(content, name).needed);
  }
  const packages = await Promise.all(
    packageNames.map(async (name) => ({
      name,
      version: (await readFile(join(directory, `${name}.version`), "utf8")).trim(),
      copyright: await readFile(join(directory, "root/usr/share/doc", name, "copyright"), "utf8"),
    })),
  );
  return { entries: [...found.values()], packages };
}

async function library(directory: string, name: string): Promise<{ readonly path: string; readonly content: Buffer }> {
  const root = await realpath(join(directory, "root"));
  for (const folder of ["lib", "usr/lib"]) {
    for (const triplet of await readdir(join(root, folder)).catch(() => [])) {
      const file = await realpath(join(root, folder, triplet, name)).catch(() => undefined);
      if (file === undefined || relative(root, file).startsWith("..")) continue;
      // The loader searches lib and usr/lib alike; one of the two is enough for an image.
      return { path: join("lib", triplet, name), content: await readFile(file) };
    }
  }
  throw new KmsEtcdError("not-found", `no package out of ${packageNames.join(", ")} has ${name}`);
}

/** A package manager's state of its own, so that it works without root and for another architecture than this machine's. */
async function unpackedPackages({ name: architecture }: Architecture, cache: string): Promise<string> {
  const directory = join(cache, `debian-${architecture}`);
  const done = join(directory, "done");
  if ((await readFile(done, "utf8").catch(() => "")) === packageNames.join(" ")) return directory;
  await rm(directory, { recursive: true, force: true });
  for (const part of ["lists/partial", "archives/partial", "root"])
    await mkdir(join(directory, part), { recursive: true });
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State::Lists=${join(directory, "lists")}`,
    `Dir::Cache::archives=${join(directory, "archives")}`,
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    "Dir::State::status=/dev/null",
    // Sandboxing by user fails in a directory of ours.
    "APT::Sandbox::User=",
  ].flatMap((option) => ["-o", option]);
  await runCommand("apt-get", [...options, "-qq", "update"], directory);
  const fetch = async (names: readonly string[]) => {
    await runCommand("apt-get", [...options, "-qq", "download", ...names], directory);
    for (const file of (await readdir(directory)).filter((entry) => entry.endsWith(".deb"))) {
      await runCommand("dpkg-deb", ["-x", file, "root"], directory);
      const fields = await runCommand("dpkg-deb", ["-f", file, "Package", "Version"], directory);
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(fields)?.[1] ?? "";
      await writeFile(join(directory, `${field("Package")}.version`), field("Version"));
    }
  };
  await fetch(packageNames);
  // The compiler's libraries share one copyright file, which is in another package.
  const documents = join(directory, "root/usr/share/doc");
  const owners = await Promise.all(packageNames.map((name) => readlink(join(documents, name)).catch(() => undefined)));
  await fetch([...new Set(owners.filter((owner) => owner !== undefined).map((owner) => basename(owner)))]);
  await writeFile(done, packageNames.join(" "));
  return directory;
}
