/** An example's own project, but for where things are: the compiled program, which loads faster, and plugins by absolute paths. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { exampleProgram, programFiles, repository } from "./pulumi-project";

/** @param others folders of plugins besides ours, by name. */
export function exampleFiles(name: string, others: Readonly<Record<string, string>> = {}): Record<string, string> {
  const folder = join(repository, "examples", name);
  const own = parse(readFileSync(join(folder, "Pulumi.yaml"), "utf8")) as {
    readonly plugins: { readonly providers: readonly { readonly name: string; readonly path: string }[] };
  };
  const providers = [
    ...own.plugins.providers.map((plugin) => ({ ...plugin, path: join(folder, plugin.path) })),
    ...Object.entries(others).map(([other, path]) => ({ name: other, path })),
  ];
  const runtime = { name: "nodejs", options: { typescript: false } };
  return {
    ...programFiles(exampleProgram(name)),
    "Pulumi.yaml": JSON.stringify({ ...own, main: "index.js", runtime, plugins: { providers } }),
  };
}
