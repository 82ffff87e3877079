import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { blockCommands, type CommandLine, commandsIn, commandsOfPrograms } from "./command-lines";
import { documents, repository } from "./markdown";

const byTheirParsers = "test/full/commands-of-other-tools.test.ts";

/** Which test runs or parses the command lines of a program. */
const checkedIn: Readonly<Record<string, string>> = {
  npm: "test/docs/commands.test.ts",
  "kms-etcd": "test/docs/commands.test.ts",
  "kms-etcd-plugin": "test/docs/plugin-flags.test.ts",
  "kms-etcd-plugin-image": "test/docs/plugin-flags.test.ts",
  az: byTheirParsers,
  aws: byTheirParsers,
  etcdctl: byTheirParsers,
  etcdutl: byTheirParsers,
  kops: byTheirParsers,
  kubeadm: byTheirParsers,
  kubectl: byTheirParsers,
  openssl: byTheirParsers,
  pulumi: byTheirParsers,
  "ssh-keyscan": byTheirParsers,
  systemctl: byTheirParsers,
};

/**
 * Programs that are not to be had where this package is tested (skopeo), and what every machine has: what documents may say of them, by their
 * manuals. Each word and option that is not here is one that nobody has looked up.
 */
const byTheirManuals: Readonly<
  Record<string, { readonly commands?: readonly string[]; readonly options: readonly string[] }>
> = {
  skopeo: { commands: ["copy"], options: [] },
  rsync: { options: ["-a"] },
  cat: { options: [] },
  cd: { options: [] },
  cp: { options: ["-p"] },
  grep: { options: ["-lE"] },
  head: { options: ["-c"] },
  kill: { options: [] },
  mocha: { options: ["-g"] },
  sudo: { options: ["-n"] },
  umask: { options: [] },
};

describe("programs in the documents", () => {
  it("every program in a block => one whose command lines a test runs or parses, or looks up here", () => {
    const unknown = documents()
      .flatMap(blockCommands)
      .filter(({ path: [program = ""] }) => !(program in checkedIn) && !(program in byTheirManuals))
      .map(({ at, text }) => `${at}: ${text}`);
    assert.deepEqual(unknown, []);
  });

  it("each test that is named here => is there, and knows the program", () => {
    for (const [program, file] of Object.entries(checkedIn)) {
      assert.ok(existsSync(join(repository, file)), file);
      assert.ok(readFileSync(join(repository, file), "utf8").includes(program), `${file}: ${program}`);
    }
  });

  it("what no parser here knows => commands and options that the manuals have", () => {
    assert.deepEqual(commandsOfPrograms(Object.keys(byTheirManuals)).flatMap(unknownToManual), []);
  });

  it("an option that nobody has looked up => told", () => {
    const wrong = commandsIn("`skopeo copies oci:a docker://b`, `rsync -a --now a b`", "a.md", ["skopeo", "rsync"]);
    assert.deepEqual(wrong.flatMap(unknownToManual), [
      "a.md: skopeo copies oci:a docker://b: copies",
      "a.md: rsync -a --now a b: --now",
    ]);
  });
});

function unknownToManual({ at, text, path: [program = "", command = ""], options }: CommandLine): readonly string[] {
  const manual = byTheirManuals[program] ?? { options: [] };
  const words = manual.commands === undefined || manual.commands.includes(command) ? [] : [command];
  return [...words, ...options.filter((option) => !manual.options.includes(option))].map(
    (word) => `${at}: ${text}: ${word}`,
  );
}
