/**
 * The Pulumi package schema, made from the public components' own types and comments: so that other languages get the same
 * inputs with the same words, and nothing is written twice. `npm run schema` writes it to provider/schema.json.
 */
import { join } from "node:path";
import ts from "typescript";
import { packageName } from "../../core/type-tokens";
import { docOf } from "./doc-comment";
import { createTypeReader, type ObjectTypeSpec, type PropertySpec } from "./type-reader";

interface ResourceSpec extends ObjectTypeSpec {
  readonly isComponent?: boolean;
  readonly inputProperties: Readonly<Record<string, PropertySpec>>;
  readonly requiredInputs: readonly string[];
}

/** The schema of everything that `components/index.ts` exports, as Pulumi's metaschema wants it. */
export function packageSchema(projectDirectory: string): Record<string, unknown> {
  const index = join(projectDirectory, "components", "index.ts");
  const program = ts.createProgram([index], {
    strict: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.Node20,
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  });
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(index);
  const module = source && checker.getSymbolAtLocation(source);
  if (module === undefined) throw new Error(`${index} exports nothing`);
  const types = createTypeReader(checker);
  const resources: Record<string, ResourceSpec> = {};
  for (const exported of checker.getExportsOfModule(module)) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const declaration = symbol.declarations?.find(ts.isClassDeclaration);
    if (declaration?.name === undefined) continue;
    resources[`${packageName}:index:${declaration.name.text}`] = resourceSpec(declaration);
  }
  return {
    name: packageName,
    displayName: "KMS encryption for etcd",
    description: "Kubernetes etcd encryption with a cloud KMS, and its key rotation",
    keywords: ["kubernetes", "etcd", "kms", "encryption", "category/infrastructure"],
    license: "Apache-2.0",
    language: { nodejs: { packageName: "pulumi-kms-etcd" } },
    types: sorted(types.specs()),
    resources: sorted(resources),
  };

  function resourceSpec(declaration: ts.ClassDeclaration): ResourceSpec {
    const base = declaration.heritageClauses?.[0]?.types[0]?.expression.getText() ?? "";
    const isComponent = base.endsWith("ComponentResource");
    const constructor = declaration.members.find(ts.isConstructorDeclaration);
    const args = constructor?.parameters.find((parameter) => parameter.name.getText() === "args")?.type;
    if (args === undefined) throw new Error(`${base} ${declaration.name?.text} has no constructor parameter "args"`);
    const inputs = types.membersOf(args, isComponent);
    const outputs = types.outputsOf(declaration);
    const description = docOf(declaration);
    return {
      ...(isComponent ? { isComponent } : {}),
      ...(description === undefined ? {} : { description }),
      type: "object",
      properties: outputs.properties,
      required: outputs.required,
      inputProperties: inputs.properties,
      requiredInputs: inputs.required,
    };
  }
}

function sorted<Value>(record: Readonly<Record<string, Value>>): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}
