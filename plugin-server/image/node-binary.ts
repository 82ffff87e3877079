/** The Node program from its npm package, which is checked against the pinned digest. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import type { Architecture } from "./architecture";
import { stripElf } from "./elf";
import { runCommand } from "./run-command";

export interface NodeBinary {
  readonly program: Buffer;
  readonly license: string;
}

/** Keeps the package in `cache`. */
export async function nodeBinary({ node }: Architecture, cache: string): Promise<NodeBinary> {
  const directory = join(cache, `${node.package}-${node.version}`);
  const archive = join(directory, "package.tgz");
  await mkdir(directory, { recursive: true });
  if (!(await isIntact(archive, node.integrity))) {
    const packed = JSON.parse(
      await runCommand("npm", ["pack", `${node.package}@${node.version}`, "--json", "--silent"], directory),
    ) as readonly {
      readonly filename: string;
    }[];
    await rename(join(directory, packed[0]?.filename ?? ""), archive);
    if (!(await isIntact(archive, node.integrity))) {
      throw new KmsEtcdError("corrupt", `${node.package} ${node.version} has another digest than the pinned one`, {
        remedy: `see what was published; ${archive} is what came`,
      });
    }
  }
  const wanted = ["package/bin/node", "package/LICENSE"];
  await runCommand("tar", ["-xzf", archive, "--no-same-owner", "--strip-components=1", ...wanted], directory);
  const program = await readFile(join(directory, "bin", "node"));
  return { program: stripElf(program, node.package), license: await readFile(join(directory, "LICENSE"), "utf8") };
}

async function isIntact(file: string, integrity: string): Promise<boolean> {
  const content = await readFile(file).catch(() => undefined);
  return content !== undefined && `sha512-${createHash("sha512").update(content).digest("base64")}` === integrity;
}
