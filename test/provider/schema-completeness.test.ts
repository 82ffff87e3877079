import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

const project = join(__dirname, "..", "..");
const prefix = "kms-etcd:index:";
/** Of a function of the npm package, which other languages have no form of. */
const ofFunctions: ReadonlySet<string> = new Set(["KopsSpecArgs", "KopsSpecKey"]);

interface ObjectSpec {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly inputProperties?: Readonly<Record<string, unknown>>;
  readonly enum?: readonly { readonly value: unknown }[];
}

/**
 * The schema is made from the same types, by a reader that knows which of them it understands. This asks the compiler itself what a
 * TypeScript program can write, so that what that reader passes over is noticed: other languages would not have it.
 */
describe("the package schema, against the compiler", function () {
  this.timeout(120_000);
  const schema = JSON.parse(readFileSync(join(project, "provider", "schema.json"), "utf8")) as {
    readonly resources: Readonly<Record<string, ObjectSpec>>;
    readonly types: Readonly<Record<string, ObjectSpec>>;
  };
  let checker: ts.TypeChecker;
  let exported: readonly ts.Symbol[];

  before(() => {
    const index = join(project, "components", "index.ts");
    const options = { strict: true, module: ts.ModuleKind.Node20, types: ["node"], skipLibCheck: true, noEmit: true };
    const program = ts.createProgram([index], { ...options, target: ts.ScriptTarget.ES2023 });
    checker = program.getTypeChecker();
    const source = program.getSourceFile(index);
    const module = source && checker.getSymbolAtLocation(source);
    assert.ok(module);
    exported = checker
      .getExportsOfModule(module)
      .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));
  });

  const interfaces = () =>
    exported.filter((symbol) => symbol.flags & ts.SymbolFlags.Interface && !ofFunctions.has(symbol.name));
  const namesOf = (symbol: ts.Symbol) =>
    checker
      .getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
      .map(({ name }) => name)
      .sort();

  it("every input that a TypeScript program can write => in the schema, and none besides", () => {
    const args = interfaces().filter(({ name }) => name.endsWith("Args"));
    assert.ok(args.length > 20);
    for (const symbol of args) {
      const name = `${prefix}${symbol.name.slice(0, -"Args".length)}`;
      const spec = schema.resources[name]?.inputProperties ?? schema.types[name]?.properties;
      assert.deepEqual(Object.keys(spec ?? {}).sort(), namesOf(symbol), symbol.name);
    }
  });

  it("every output's type => in the schema with all its properties", () => {
    for (const symbol of interfaces().filter(({ name }) => !name.endsWith("Args"))) {
      const spec = schema.types[`${prefix}${symbol.name}`]?.properties;
      assert.deepEqual(Object.keys(spec ?? {}).sort(), namesOf(symbol), symbol.name);
    }
  });

  it("every choice => in the schema with all its values", () => {
    const choices = exported.filter((symbol) => symbol.flags & ts.SymbolFlags.Variable);
    assert.ok(choices.length >= 5);
    for (const symbol of choices) {
      const declaration = symbol.valueDeclaration;
      assert.ok(declaration);
      const values = checker
        .getPropertiesOfType(checker.getTypeOfSymbolAtLocation(symbol, declaration))
        .map((member) => {
          const type = checker.getTypeOfSymbol(member);
          assert.ok(type.isStringLiteral(), `${symbol.name}.${member.name}`);
          return type.value;
        });
      const spec = schema.types[`${prefix}${symbol.name}`]?.enum ?? [];
      assert.deepEqual(spec.map(({ value }) => value).sort(), values.sort(), symbol.name);
    }
  });
});
