import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { selfManagedViolations } from "../../core/self-managed-inputs";
import { repository, snippets } from "../docs/markdown";

/** What a program reads: names, and whether it can do without. */
function configurationOf(program: string): ReadonlyMap<string, "required" | "optional"> {
  const reads = program.matchAll(/config\s*\.(get|require)\w*(?:<[^(]*>)?\("(\w+)"\)/g);
  return new Map([...reads].map(([, how, name = ""]) => [name, how === "require" ? "required" : "optional"]));
}

for (const name of ["self-managed-azure", "self-managed-aws"]) {
  describe(`examples/${name}`, () => {
    const folder = join("examples", name);
    const read = (file: string) => readFileSync(join(repository, folder, file), "utf8");
    const project = parse(read("Pulumi.yaml")) as {
      readonly name: string;
      readonly main: string;
      readonly plugins: { readonly providers: readonly { readonly path: string }[] };
    };
    const [stackFile] = snippets(join(folder, "README.md"), "yaml");
    const { config } = parse(stackFile?.text ?? "") as { readonly config: Readonly<Record<string, unknown>> };
    const given = new Map(
      Object.entries(config).flatMap(([key, value]) => {
        const [namespace, input = ""] = key.split(":");
        return namespace === project.name ? [[input, value] as const] : [];
      }),
    );
    const commands = snippets(join(folder, "README.md"), "sh").map(({ text }) => text);
    const set = [...commands.join("\n").matchAll(/^pulumi config set (?:--secret )?(\w+)/gm)].map(([, input]) => input);
    const known = configurationOf(read("index.ts"));

    it("Pulumi.yaml => names the program and the provider that there are", () => {
      assert.ok(existsSync(join(repository, folder, project.main)));
      for (const { path } of project.plugins.providers) assert.ok(existsSync(join(repository, folder, path)), path);
    });

    it("the README's configuration and commands => set all that the program requires, and nothing that it does not read", () => {
      assert.ok(known.size >= 10, [...known.keys()].join(", "));
      const all = new Set([...given.keys(), ...set]);
      assert.deepEqual(
        [...all].filter((input) => !known.has(input ?? "")),
        [],
      );
      const required = [...known].filter(([, how]) => how === "required").map(([input]) => input);
      assert.deepEqual(
        required.filter((input) => !all.has(input)),
        [],
      );
    });

    it("the README's hosts and plugin => a block selfManaged that nothing is wrong with", () => {
      const block = {
        hosts: given.get("hosts"),
        plugin: given.get("plugin"),
        ssh: { user: "root", privateKey: "a key", knownHosts: "a line" },
      };
      assert.deepEqual(selfManagedViolations(block, "selfManaged"), []);
    });

    it("every optional input => the README speaks of it", () => {
      const text = read("README.md");
      const unspoken = [...known.keys()].filter((input) => !text.includes(input));
      assert.deepEqual(unspoken, []);
    });
  });
}
