/** From the types of the components to types of the schema. What a schema can't say is an error, not a guess. */
import ts from "typescript";
import { packageName } from "../../core/type-tokens";
import { docOf, tagOf } from "./doc-comment";

export interface PropertySpec {
  readonly type?: string;
  readonly $ref?: string;
  readonly items?: PropertySpec;
  readonly additionalProperties?: PropertySpec;
  readonly plain?: boolean;
  readonly secret?: boolean;
  readonly description?: string;
}

export interface ObjectTypeSpec {
  readonly type: "object";
  readonly description?: string;
  readonly properties: Readonly<Record<string, PropertySpec>>;
  readonly required: readonly string[];
}

interface EnumTypeSpec {
  readonly type: "string";
  readonly description?: string;
  readonly enum: readonly { readonly name: string; readonly value: string; readonly description?: string }[];
}

interface Members {
  readonly properties: Readonly<Record<string, PropertySpec>>;
  readonly required: readonly string[];
}

export interface TypeReader {
  /**
   * Inputs of an args interface. A component's inputs that are no `Input` are plain: known before anything is made; and so are those of
   * the blocks inside them.
   */
  membersOf(type: ts.TypeNode, withPlain: boolean): Members;
  /** Outputs of a resource class: its properties of type `pulumi.Output`. */
  outputsOf(declaration: ts.ClassDeclaration): Members;
  /** The object and enum types that have been met. */
  specs(): Readonly<Record<string, ObjectTypeSpec | EnumTypeSpec>>;
}

export function createTypeReader(checker: ts.TypeChecker): TypeReader {
  const specs: Record<string, ObjectTypeSpec | EnumTypeSpec> = {};

  function members(declaration: ts.InterfaceDeclaration, withPlain: boolean): Members {
    const properties: Record<string, PropertySpec> = {};
    const required: string[] = [];
    for (const member of declaration.members) {
      if (!ts.isPropertySignature(member) || member.type === undefined) throw unsayable(member);
      const name = member.name.getText();
      properties[name] = documented(member, inputSpec(member.type, withPlain));
      if (member.questionToken === undefined) required.push(name);
    }
    return { properties, required };
  }

  function inputSpec(node: ts.TypeNode, withPlain: boolean): PropertySpec {
    const inner = argumentOf(node, "Input");
    if (inner !== undefined) return typeSpec(inner, (element) => inputSpec(element, false), false);
    const spec = typeSpec(node, (element) => inputSpec(element, withPlain), withPlain);
    return withPlain ? { ...spec, plain: true } : spec;
  }

  function typeSpec(node: ts.TypeNode, element: (node: ts.TypeNode) => PropertySpec, withPlain: boolean): PropertySpec {
    const type = withoutUndefined(node);
    if (type.kind === ts.SyntaxKind.StringKeyword) return { type: "string" };
    if (type.kind === ts.SyntaxKind.NumberKeyword) return { type: "number" };
    if (type.kind === ts.SyntaxKind.BooleanKeyword) return { type: "boolean" };
    if (ts.isArrayTypeNode(type)) return { type: "array", items: element(type.elementType) };
    const values = recordValues(type);
    if (values !== undefined) return { type: "object", additionalProperties: element(values) };
    if (ts.isTypeReferenceNode(type)) return referenceSpec(type, withPlain);
    throw unsayable(node);
  }

  function referenceSpec(node: ts.TypeReferenceNode, withPlain: boolean): PropertySpec {
    let symbol = checker.getSymbolAtLocation(node.typeName);
    if (symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
    const declared = symbol?.declarations ?? [];
    const object = declared.find(ts.isInterfaceDeclaration);
    const constant = declared.find(ts.isVariableDeclaration);
    // Code generators add "Args" to the input form of a type by themselves.
    const token = `${packageName}:index:${(symbol?.name ?? "").replace(/Args$/, "")}`;
    if (object !== undefined) {
      specs[token] ??= { ...describe(object), type: "object", ...members(object, withPlain) };
    } else if (constant !== undefined) {
      specs[token] ??= enumSpec(constant);
    } else {
      throw unsayable(node);
    }
    return { $ref: `#/types/${token}` };
  }

  /** `const Name = { Member: "value" } as const`, with the type of its values under the same name. */
  function enumSpec(constant: ts.VariableDeclaration): EnumTypeSpec {
    const value = constant.initializer;
    const object = value !== undefined && ts.isAsExpression(value) ? value.expression : value;
    if (object === undefined || !ts.isObjectLiteralExpression(object)) throw unsayable(constant);
    return {
      ...describe(constant.parent.parent),
      type: "string",
      enum: object.properties.map((property) => {
        if (!ts.isPropertyAssignment(property) || !ts.isStringLiteral(property.initializer)) throw unsayable(property);
        return { name: property.name.getText(), value: property.initializer.text, ...describe(property) };
      }),
    };
  }

  return {
    membersOf(type, withPlain) {
      const symbol = ts.isTypeReferenceNode(type) ? checker.getSymbolAtLocation(type.typeName) : undefined;
      const original =
        symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const declaration = original?.declarations?.find(ts.isInterfaceDeclaration);
      if (declaration === undefined) throw unsayable(type);
      return members(declaration, withPlain);
    },
    outputsOf(declaration) {
      const properties: Record<string, PropertySpec> = {};
      const required: string[] = [];
      for (const member of declaration.members) {
        if (!ts.isPropertyDeclaration(member)) continue;
        const inner = member.type && argumentOf(member.type, "Output");
        if (inner === undefined) throw unsayable(member);
        const name = member.name.getText();
        properties[name] = documented(
          member,
          typeSpec(inner, (element) => inputSpec(element, false), false),
        );
        if (withoutUndefined(inner) === inner) required.push(name);
      }
      return { properties, required };
    },
    specs: () => specs,
  };
}

/** `T` of `pulumi.Input<T>` or `pulumi.Output<T>`. */
function argumentOf(node: ts.TypeNode, wrapper: "Input" | "Output"): ts.TypeNode | undefined {
  if (!ts.isTypeReferenceNode(node)) return undefined;
  return node.typeName.getText() === `pulumi.${wrapper}` ? node.typeArguments?.[0] : undefined;
}

/** The type of the values of `Record<string, Value>`. */
function recordValues(node: ts.TypeNode): ts.TypeNode | undefined {
  if (!ts.isTypeReferenceNode(node) || node.typeName.getText() !== "Record") return undefined;
  const [names, values] = node.typeArguments ?? [];
  return names?.kind === ts.SyntaxKind.StringKeyword ? values : undefined;
}

function withoutUndefined(node: ts.TypeNode): ts.TypeNode {
  if (!ts.isUnionTypeNode(node)) return node;
  const others = node.types.filter((member) => member.kind !== ts.SyntaxKind.UndefinedKeyword);
  const [only] = others;
  return only !== undefined && others.length === 1 ? only : node;
}

/** That a number is whole, or a text a secret, TypeScript can't say; a tag can. */
function documented(node: ts.Node, spec: PropertySpec): PropertySpec {
  const whole = spec.type === "number" && tagOf(node, "integer") !== undefined;
  const secret = tagOf(node, "secret") !== undefined;
  return { ...spec, ...(whole ? { type: "integer" } : {}), ...(secret ? { secret } : {}), ...describe(node) };
}

function describe(node: ts.Node): { readonly description?: string } {
  const description = docOf(node);
  return description === undefined ? {} : { description };
}

function unsayable(node: ts.Node): Error {
  const file = node.getSourceFile();
  const { line } = file.getLineAndCharacterOfPosition(node.getStart());
  return new Error(`${file.fileName}:${line + 1}: a Pulumi schema can't say ${node.getText().split("\n", 1)[0]}`);
}
