/**
 * Writes the C++ twins of the plan types and of the CUDA plan's: structs, enums and variants, a reader that checks every field's presence and
 * type and names the place of what is wrong, and a writer. It knows TypeScript's shapes, no name of the plan: interfaces
 * become structs, unions of string literals enums, unions of interfaces variants told apart by `kind`, `number` a safe
 * integer, `Real` a double. What it does not know is an error here, not a hole in the reader.
 */
import { existsSync } from "node:fs";
import {
  type InterfaceDeclaration,
  Node,
  Project,
  type PropertySignature,
  type SourceFile,
  type TypeAliasDeclaration,
  type TypeNode,
} from "ts-morph";

/** A file of types, and the C++ that comes from it. */
interface Target {
  readonly source: string;
  /** Further files whose types belong to it. */
  readonly parts?: readonly string[];
  /** Path of header and body, without `.h` and `.cc`. */
  readonly output: string;
  /** The type that is read and written, and the constant with its version. */
  readonly root: string;
  readonly version: string;
  /** Where the types that the source imports are declared. */
  readonly imported?: { readonly sources: readonly string[]; readonly header: string };
}

const planTypes = "packages/compiler/src/plan/types.ts";
const planParts = ["packages/compiler/src/plan/access.ts", "packages/compiler/src/plan/instructions.ts"];
const targets: readonly Target[] = [
  {
    source: planTypes,
    parts: planParts,
    output: "packages/runtime/native/plan_generated",
    root: "Plan",
    version: "planVersion",
  },
  {
    source: "packages/compiler/src/cuda/types.ts",
    output: "packages/runtime-cuda/native/cuda_plan_generated",
    root: "CudaPlan",
    version: "cudaVersion",
    imported: { sources: [planTypes, ...planParts], header: "plan_generated.h" },
  },
];

interface EnumModel {
  kind: "enum";
  name: string;
  doc: string;
  values: string[];
}
interface StructModel {
  kind: "struct";
  name: string;
  doc: string;
  /** The literal of the field `kind`, when there is one: it picks the variant and is not stored. */
  tag: string | undefined;
  fields: { name: string; doc: string; type: string }[];
}
interface VariantModel {
  kind: "variant";
  name: string;
  doc: string;
  members: string[];
}
type Model = EnumModel | StructModel | VariantModel;

/** C++ words that a field or an enumerator may not be called. */
const reserved = new Set(
  "and auto bool break case catch char class concept const continue default delete do double else enum explicit export extern false float for friend goto if inline int long namespace new not operator or private protected public register return short signed sizeof static struct switch template this throw true try typedef typename union unsigned using virtual void volatile while".split(
    " ",
  ),
);

/** `positionStride` as `position_stride`; the house style of the C++ side. */
export function snakeCase(name: string): string {
  const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return reserved.has(snake) ? `${snake}_` : snake;
}

/** Enumerators: `-inf` is `minus_inf`, the empty string `none`. */
function enumerator(value: string): string {
  return value === "" ? "none" : snakeCase(value.replace(/^-/, "minus_").replace(/\W/g, "_"));
}

function comment(doc: string, indent = ""): string {
  if (doc === "") return "";
  return doc
    .split("\n")
    .map((line) => `${indent}//${line === "" ? "" : ` ${line}`}\n`)
    .join("");
}

function docOf(node: InterfaceDeclaration | TypeAliasDeclaration | PropertySignature): string {
  return node
    .getJsDocs()
    .map((doc) => doc.getDescription().trim())
    .join("\n");
}

/** Reads all types of the file, and those that it needs of another, into models, each after those it needs. */
class ModelReader {
  private readonly models = new Map<string, Model>();
  private readonly open = new Set<string>();
  private readonly file: SourceFile;
  /** All files in which types are looked for. */
  private readonly files: readonly SourceFile[];

  constructor(file: SourceFile, others: readonly SourceFile[]) {
    this.file = file;
    this.files = [file, ...others];
  }

  read(): Model[] {
    for (const statement of this.file.getStatements()) {
      if (Node.isInterfaceDeclaration(statement)) this.named(statement.getName());
      if (Node.isTypeAliasDeclaration(statement)) this.named(statement.getName());
    }
    return [...this.models.values()];
  }

  /** The C++ name of a declared type; adds its model when it is new. */
  private named(name: string): string {
    if (name === "Real") return "double";
    if (this.models.has(name)) return name;
    if (this.open.has(name)) throw new Error(`plan-header: ${name} contains itself; a struct cannot`);
    this.open.add(name);
    const firstOf = <T>(find: (file: SourceFile) => T | undefined): T | undefined =>
      this.files.map(find).find((one) => one !== undefined);
    const declared = firstOf((file) => file.getInterface(name));
    const alias = firstOf((file) => file.getTypeAlias(name));
    if (declared) this.models.set(name, this.struct(declared));
    else if (alias) this.models.set(name, this.alias(alias));
    else throw new Error(`plan-header: no type ${name} in ${this.file.getFilePath()}`);
    this.open.delete(name);
    return name;
  }

  private struct(node: InterfaceDeclaration): StructModel {
    let tag: string | undefined;
    const fields: StructModel["fields"] = [];
    for (const property of node.getProperties()) {
      const type = property.getTypeNodeOrThrow();
      const place = `${node.getName()}.${property.getName()}`;
      if (property.hasQuestionToken())
        throw new Error(`plan-header: ${place} is optional; plans are explicit`);
      if (property.getName() === "kind") tag = literals(type)?.[0];
      else
        fields.push({
          name: property.getName(),
          doc: docOf(property),
          type: this.type(type, node, property),
        });
    }
    return { kind: "struct", name: node.getName(), doc: docOf(node), tag, fields };
  }

  private alias(node: TypeAliasDeclaration): Model {
    const name = node.getName();
    const type = node.getTypeNodeOrThrow();
    const values = literals(type);
    if (values) return { kind: "enum", name, doc: docOf(node), values };
    if (!Node.isUnionTypeNode(type))
      throw new Error(`plan-header: ${name} is neither a union of literals nor of interfaces`);
    const members = type.getTypeNodes().map((member) => this.named(member.getText()));
    for (const member of members) {
      const model = this.models.get(member);
      if (model?.kind !== "struct" || model.tag === undefined)
        throw new Error(`plan-header: ${member} in ${name} needs a literal field "kind"`);
    }
    return { kind: "variant", name, doc: docOf(node), members };
  }

  private type(type: TypeNode, owner: InterfaceDeclaration, property: PropertySignature): string {
    const text = type.getText();
    if (text === "number") return "int64_t";
    if (text === "string") return "std::string";
    if (text === "boolean") return "bool";
    const values = literals(type);
    if (values) {
      const name = `${owner.getName()}${property.getName()[0]!.toUpperCase()}${property.getName().slice(1)}`;
      this.models.set(name, { kind: "enum", name, doc: "", values });
      return name;
    }
    if (Node.isArrayTypeNode(type))
      return `std::vector<${this.type(type.getElementTypeNode(), owner, property)}>`;
    if (Node.isTypeReference(type)) return this.named(text);
    throw new Error(`plan-header: cannot express ${owner.getName()}.${property.getName()}: ${text}`);
  }
}

/** The values of a union of string literals (or of one literal), else undefined. */
function literals(type: TypeNode): string[] | undefined {
  const members = Node.isUnionTypeNode(type) ? type.getTypeNodes() : [type];
  const values: string[] = [];
  for (const member of members) {
    const literal = Node.isLiteralTypeNode(member) ? member.getLiteral() : undefined;
    if (!Node.isStringLiteral(literal)) return undefined;
    values.push(literal.getLiteralValue());
  }
  return values;
}

function declaration(model: Model): string {
  switch (model.kind) {
    case "enum":
      return `${comment(model.doc)}enum class ${model.name} { ${model.values.map(enumerator).join(", ")} };
const char* name_of(${model.name} value);
`;
    case "variant":
      return `${comment(model.doc)}using ${model.name} = std::variant<${model.members.join(", ")}>;
`;
    case "struct":
      return `${comment(model.doc)}struct ${model.name} {
${model.fields.map((field) => `${comment(field.doc, "  ")}  ${field.type} ${snakeCase(field.name)}${initializer(field.type)};\n`).join("")}};
`;
    default:
      return model satisfies never;
  }
}

function initializer(type: string): string {
  return type.startsWith("std::") || /^[A-Z]/.test(type) ? "{}" : type === "bool" ? " = false" : " = 0";
}

/** `isImported`: what the model's own header declares is defined there. */
function definition(model: Model, all: Map<string, Model>, isImported: boolean): string {
  switch (model.kind) {
    case "enum":
      return `static constexpr const char* names_of_${model.name}[] = {${model.values.map((value) => JSON.stringify(value)).join(", ")}};
${isImported ? "" : `const char* name_of(${model.name} value) { return names_of_${model.name}[static_cast<size_t>(value)]; }\n`}static void read(const Napi::Value& value, const Place& at, ${model.name}& out) {
  out = static_cast<${model.name}>(read_word(value, at, names_of_${model.name}, ${model.values.length}));
}
static Napi::Value write(Napi::Env env, ${model.name} value) { return Napi::String::New(env, name_of(value)); }
`;
    case "variant": {
      const tags = model.members.map((member) => {
        const struct = all.get(member);
        return struct?.kind === "struct" ? struct.tag : undefined;
      });
      return `static constexpr const char* kinds_of_${model.name}[] = {${tags.map((tag) => JSON.stringify(tag)).join(", ")}};
static void read(const Napi::Value& value, const Place& at, ${model.name}& out) {
  switch (read_kind(value, at, kinds_of_${model.name}, ${tags.length})) {
${model.members.map((member, index) => `    case ${index}: read(value, at, out.emplace<${index}>()); break;  // ${member}\n`).join("")}  }
}
static Napi::Value write(Napi::Env env, const ${model.name}& value) {
  return std::visit([&](const auto& member) { return write(env, member); }, value);
}
`;
    }
    case "struct":
      return `static void read(const Napi::Value& value, const Place& at, ${model.name}& out) {
  const Napi::Object object = read_object(value, at);
${model.fields.map((field) => `  read_field(object, at, "${field.name}", out.${snakeCase(field.name)});\n`).join("")}}
static Napi::Value write(Napi::Env env, const ${model.name}& value) {
  Napi::Object object = Napi::Object::New(env);
${model.tag === undefined ? "" : `  object.Set("kind", "${model.tag}");\n`}${model.fields.map((field) => `  object.Set("${field.name}", write(env, value.${snakeCase(field.name)}));\n`).join("")}  return object;
}
`;
    default:
      return model satisfies never;
  }
}

/** The generated files, by path from the root of the repository. */
export function planHeader(root: string): Map<string, string> {
  return new Map(
    targets
      .filter(({ source }) => existsSync(`${root}/${source}`))
      .flatMap((target) => [...generated(root, target)]),
  );
}

function generated(root: string, target: Target): Map<string, string> {
  const project = new Project({ skipAddingFilesFromTsConfig: true });
  const file = project.addSourceFileAtPath(`${root}/${target.source}`);
  const open = (source: string) => project.addSourceFileAtPath(`${root}/${source}`);
  const parts = (target.parts ?? []).map(open);
  const { imported } = target;
  const models = new ModelReader(file, [...parts, ...(imported?.sources ?? []).map(open)]).read();
  const all = new Map(models.map((model) => [model.name, model]));
  const structs = models.filter((model) => model.kind === "struct");
  // Imported types are declared by their own header; reading them is repeated here, so that it can stay static there.
  const declared = models.filter(
    ({ name }) => file.getInterface(name) ?? file.getTypeAlias(name) ?? imported === undefined,
  );
  const version = file.getVariableDeclarationOrThrow(target.version).getInitializerOrThrow().getText();
  const snake = snakeCase(target.root).replace(/^_/, "");
  const name = target.output.split("/").at(-1)!;
  const notice = `// Generated from ${target.source} by scripts/generate/plan-header.ts (npm run generate). Do not edit.
`;
  return new Map([
    [
      `${target.output}.h`,
      `${notice}#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
${imported ? "" : "#include <variant>\n"}#include <vector>
${target.imported ? `\n#include "${target.imported.header}"\n` : ""}
namespace weft::plan {

inline constexpr int64_t ${snakeCase(target.version)} = ${version};

${declared.map(declaration).join("\n")}
// Reads a plain object. Throws weft::Error, with the place, on anything missing or of the wrong type. Says nothing
// about whether the numbers make sense: see ${imported ? "check_cuda_plan.h" : "validate.h"}.
${target.root} read_${snake}(const Napi::Value& value);

// The same plan as a plain object again.
Napi::Value write_${snake}(Napi::Env env, const ${target.root}& plan);

}  // namespace weft::plan
`,
    ],
    [
      `${target.output}.cc`,
      `${notice}#include "${name}.h"

#include "plan_reader.h"

namespace weft::plan {

${structs.map((model) => `static void read(const Napi::Value& value, const Place& at, ${model.name}& out);\n`).join("")}
${models.map((model) => definition(model, all, !declared.includes(model))).join("\n")}
${target.root} read_${snake}(const Napi::Value& value) {
  ${target.root} plan;
  read(value, Place("${target.root[0]!.toLowerCase()}${target.root.slice(1)}"), plan);
  return plan;
}

Napi::Value write_${snake}(Napi::Env env, const ${target.root}& plan) { return write(env, plan); }

}  // namespace weft::plan
`,
    ],
  ]);
}
