/** Puts this project's stand-in language host beside a Pulumi CLI that was built: a copy, so that the checkout may move or go. */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KmsEtcdError } from "../core/errors";
import { projectDirectory } from "./project-directory";
import type { Tool } from "./tool";

/** Files of the host, in a folder beside the program's. */
const hostFolder = "pulumi-language-nodejs";

/** Node finds the real place of this file first, so the program may be reached through a link. */
const launcher = `#!/usr/bin/env node
require("../${hostFolder}/main.js");
`;

/** Makes the files beside the program in `bin` what this checkout has; files that are so already are not touched. */
export async function addCompanions(tool: Tool, bin: string): Promise<void> {
  if (!tool.build.languageHost) return;
  const compiled = join(projectDirectory(), "dist", "tools", hostFolder);
  const names = await readdir(compiled).catch((cause: unknown) => {
    throw new KmsEtcdError("not-found", `${compiled} is missing`, { cause, remedy: "run npm run build" });
  });
  const target = join(dirname(bin), hostFolder);
  await mkdir(target, { recursive: true });
  for (const name of names.filter((candidate) => candidate.endsWith(".js"))) {
    await replaceFile(join(target, name), await readFile(join(compiled, name), "utf8"), 0o644);
  }
  await replaceFile(join(bin, hostFolder), launcher, 0o755);
}

/** As a whole or not at all: a CLI may be running from the same folder. */
async function replaceFile(file: string, content: string, mode: number): Promise<void> {
  if ((await readFile(file, "utf8").catch(() => undefined)) === content) return;
  const temporary = `${file}.${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(temporary, content);
    await chmod(temporary, mode);
    await rename(temporary, file);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}
