import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseAllDocuments } from "yaml";
import { runCli } from "../../rotation/cli/program";
import { readSettings } from "../../rotation/cli/settings";
import { UsageError } from "../../rotation/cli/usage-error";
import { commandsOfPrograms } from "./command-lines";
import { documents, repository, snippets } from "./markdown";

const { scripts } = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
  scripts: Readonly<Record<string, string>>;
};

describe("commands and data in the documents", () => {
  it("every npm script that is named => is in package.json", () => {
    const unknown = commandsOfPrograms(["npm"]).flatMap(({ at, text }) =>
      [...text.matchAll(/\bnpm (?:run (?:-s )?([\w:-]+)|(start|test)\b)/g)].flatMap(([, run, short]) => {
        const name = run ?? short ?? "";
        return name in scripts ? [] : [`${at}: npm run ${name}`];
      }),
    );
    assert.deepEqual(unknown, []);
  });

  it("every kms-etcd command => exists, with each of its options", async () => {
    const wrong: string[] = [];
    for (const { at, path, options } of commandsOfPrograms(["kms-etcd"])) {
      const [, command = ""] = path;
      const help = await helpOf(command);
      if (help === undefined) wrong.push(`${at}: kms-etcd ${command}`);
      else
        wrong.push(
          ...options.filter((option) => !help.includes(option)).map((option) => `${at}: ${command} ${option}`),
        );
    }
    assert.deepEqual(wrong, []);
  });

  it("every YAML and JSON snippet => parses", () => {
    const wrong = documents().flatMap((document) => [
      ...snippets(document, "yaml").flatMap(({ at, text }) =>
        parseAllDocuments(text).flatMap((parsed) => parsed.errors.map((error) => `${at}: ${error.message}`)),
      ),
      ...snippets(document, "json").flatMap(({ at, text }) => {
        try {
          JSON.parse(text);
          return [];
        } catch (thrown) {
          return [`${at}: ${String(thrown)}`];
        }
      }),
    ]);
    assert.deepEqual(wrong, []);
  });

  it("every configuration file of kms-etcd => would be taken, but for files that are not here", async () => {
    const wrong: string[] = [];
    const files = snippets("docs/cli.md", "yaml").filter(({ text }) => /^keys:/m.test(text));
    assert.ok(files.length >= 2);
    const directory = mkdtempSync(join(tmpdir(), "kms-etcd-docs-"));
    for (const { at, text } of files) {
      const file = join(directory, "kms-etcd.yaml");
      writeFileSync(file, text);
      await readSettings({ config: file }).catch((thrown: unknown) => {
        if (!(thrown instanceof UsageError)) throw thrown;
        const problems = thrown.violations.filter(({ reason }) => !reason.includes("cannot be read (ENOENT)"));
        wrong.push(...problems.map(({ path, reason }) => `${at}: ${path} ${reason}`));
      });
    }
    rmSync(directory, { recursive: true });
    assert.deepEqual(wrong, []);
  });

  it("every file and folder of the project that a document names or links => exists", () => {
    const folders = "docs|examples|test|core|rotation|components|provider|tools|plugin-server|control-plane|bench";
    const missing = documents().flatMap((document) => {
      const text = readFileSync(join(repository, document), "utf8");
      const named = [...text.matchAll(new RegExp(`\`((?:${folders})/[\\w./-]+)\``, "g"))].map(([, name = ""]) => name);
      const linked = [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)]*)?\)/g)].map(([, to = ""]) =>
        join(dirname(document), to),
      );
      return [...named, ...linked].filter((name) => !isThere(name)).map((name) => `${document}: ${name}`);
    });
    assert.deepEqual(missing, []);
  });
});

const helps = new Map<string, string | undefined>();

async function helpOf(command: string): Promise<string | undefined> {
  if (helps.has(command)) return helps.get(command);
  let stdout = "";
  const code = await runCli([command, "--help"], {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: () => true },
    signal: new AbortController().signal,
    version: "0.0.0-test",
  });
  // The root's own help is what an unknown command gets.
  const help = code === 0 && stdout.startsWith(`Usage: kms-etcd ${command} `) ? stdout : undefined;
  helps.set(command, help);
  return help;
}

function isThere(name: string): boolean {
  try {
    readFileSync(join(repository, name));
    return true;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EISDIR";
  }
}
