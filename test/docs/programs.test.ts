import assert from "node:assert/strict";
import { join } from "node:path";
import ts from "typescript";
import { documents, repository, type Snippet, snippets } from "./markdown";

/** A user's own tsconfig.json: strict, and resolving the package by its name. */
const options: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.Node20,
  types: ["node"],
  typeRoots: [join(repository, "node_modules", "@types")],
  paths: { "pulumi-kms-etcd": [join(repository, "components", "index.ts")] },
};

describe("TypeScript in the documents", function () {
  this.timeout(120_000);

  it("every program => compiles, as a user's strict TypeScript would have it", () => {
    const programs = documents().flatMap((document) => snippets(document, "ts"));
    assert.ok(programs.length > 0);
    const files = new Map(programs.map((snippet, index) => [join(repository, `snippet-${index}.ts`), snippet]));
    assert.deepEqual(problems(files), []);
  });

  it("a misspelt input => noticed", () => {
    const text =
      'import { KmsEtcdEncryption } from "pulumi-kms-etcd";\nnew KmsEtcdEncryption("etcd", { keyversion: 1 });\n';
    const snippet: Snippet = { at: "here:1", language: "ts", text };
    assert.match(problems(new Map([[join(repository, "snippet.ts"), snippet]])).join("\n"), /^here:1\+2: .*keyversion/);
  });
});

function problems(files: ReadonlyMap<string, Snippet>): readonly string[] {
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = (file) => files.has(file) || fileExists(file);
  host.readFile = (file) => files.get(file)?.text ?? readFile(file);
  host.getSourceFile = (file, ...rest) => {
    const snippet = files.get(file);
    // Without an import or export of its own two programs would share their names.
    return snippet === undefined
      ? getSourceFile(file, ...rest)
      : ts.createSourceFile(file, `${snippet.text}\nexport {};\n`, ts.ScriptTarget.ES2022);
  };
  const program = ts.createProgram([...files.keys()], options, host);
  return ts.getPreEmitDiagnostics(program).flatMap(({ file, start, messageText }) => {
    const snippet = file && files.get(file.fileName);
    if (file === undefined || snippet === undefined) return [];
    const line = file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
    return [`${snippet.at}+${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`];
  });
}
