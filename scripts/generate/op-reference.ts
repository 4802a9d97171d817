/** Writes docs/ops.md: of every op its type rule, attributes, an example, its definition and its gradient. */
import { join } from "node:path";
import { rewriteGraph } from "@weft/compiler";
import {
  type Graph,
  GraphBuilder,
  isFloat,
  type OpCategory,
  type OpDefinition,
  type OpName,
  opNames,
  opTable,
  printGraph,
} from "@weft/dsl";
import { Node, Project } from "ts-morph";
import { opExamples } from "./op-examples.ts";

const categories: Readonly<Record<OpCategory, readonly [title: string, text: string]>> = {
  structure: ["Structure", "Ops that bring values in."],
  state: [
    "State",
    "Values that outlive a run: a KV cache, an optimizer's moments. List order is execution order.",
  ],
  pointwise: [
    "Element by element",
    "Each element from the elements at the same place. Inputs are matched by the names of their axes.",
  ],
  reduction: ["Reductions", "A row becomes one value."],
  contraction: ["Contractions", "Products of tensors, and rows looked up."],
  movement: [
    "Movement",
    "No arithmetic: axes get other names and another order, are cut, joined and repeated.",
  ],
  composite: [
    "Composites",
    "Ops that are defined in others. A kernel may compute one at a stroke; the definition is what it means.",
  ],
};

const fusions: Readonly<Record<OpDefinition["fusion"], string>> = {
  map: "one value from values at the same place",
  reduce: "a row to a value",
  view: "no arithmetic, an index change",
  template: "a kernel of its own, with slots for what stands before and behind it",
  boundary: "never part of a kernel's body",
};

/** The generated pages, by path from the root of the repository. */
export function opReference(root: string): Map<string, string> {
  const attributes = readAttributes(root);
  const parts = [
    "<!-- Generated from packages/dsl/src/ops by `npm run generate`. Edit the op table, not this page. -->",
    "# Ops",
    [
      "Every node of a graph is one of these. Axes have names: elementwise ops broadcast by name, contractions contract by",
      "name, and no op needs them in an order. The tables say what each op gives, what it costs (floating-point operations per",
      "element of the result, or of the first input), how a gradient goes back (by a rule, through the definition, or not at",
      "all), and how fusion may treat it. Below each table every op has its inputs, its attributes and a graph that uses it.",
      "A composite's definition is what it means, one step deep. A gradient's graph has the inputs and the `cotangent`, the",
      "derivative of the loss by the result; `dx` is the one by `x`.",
    ].join("\n"),
    Object.entries(fusions)
      .map(([name, text]) => `* \`${name}\`: ${text}`)
      .join("\n"),
  ];
  for (const [category, [title, text]] of Object.entries(categories)) {
    const names = opNames.filter((name) => opTable[name].category === category);
    parts.push(`## ${title}`, text, table(names));
    for (const name of names)
      parts.push(...section(name, attributes.get(name) ?? { attributes: [], note: "" }));
  }
  return new Map([["docs/ops.md", `${parts.join("\n\n")}\n`]]);
}

function section(name: OpName, { attributes, note }: AttributeText): string[] {
  const { documentation } = definitionOf(name);
  const { summary, inputs, result } = documentation;
  const source = documentation.source === undefined ? "" : ` (${prose(documentation.source)})`;
  const lines = [
    ...inputs.map((one) => `* input ${prose(one)}`),
    ...attributes.map((one) => `* attribute ${one}`),
    `* result ${prose(result)}`,
  ];
  const isSaid = note === "" || note.toLowerCase() === `${summary.toLowerCase()}.`;
  const graph = (text: string) => `\`\`\`graph\n${text}\`\`\``;
  const folded = (title: string, text: string | undefined) =>
    text === undefined
      ? []
      : [`<details><summary>${title} of <code>${name}</code></summary>`, graph(text), "</details>"];
  return [
    `### ${name}`,
    `${prose(summary)}${source}`,
    ...(isSaid ? [] : [note]),
    lines.join("\n"),
    graph(exampleOf(name)),
    ...folded("Definition", meaningOf(name)),
    ...folded("Gradient", gradientOf(name)),
  ];
}

interface AttributeText {
  /** `name: type` and its comment. */
  readonly attributes: readonly string[];
  /** What is said of all of them together, or "". */
  readonly note: string;
}

/** The attributes of each op, from the interfaces in ops/names.ts. */
function readAttributes(root: string): ReadonlyMap<string, AttributeText> {
  const project = new Project({
    skipAddingFilesFromTsConfig: true,
    skipLoadingLibFiles: true,
    compilerOptions: { strict: true },
  });
  const file = project.addSourceFileAtPath(join(root, "packages/dsl/src/ops/names.ts"));
  const texts = new Map<string, AttributeText>();
  for (const op of file.getInterfaceOrThrow("OpAttributes").getType().getProperties()) {
    const attributes = op
      .getTypeAtLocation(file)
      .getProperties()
      .map((attribute) => {
        const declaration = attribute.getDeclarations()[0];
        if (!Node.isPropertySignature(declaration))
          throw new Error(`${op.getName()}: an attribute must be a property`);
        const comment = declaration
          .getJsDocs()
          .map((doc) => doc.getDescription().trim())
          .join(" ");
        const type = declaration
          .getTypeNodeOrThrow()
          .getText()
          .replace(/\breadonly /g, "");
        const name = `${attribute.getName()}${declaration.hasQuestionToken() ? "?" : ""}`;
        return `${code(`${name}: ${type}`)}${comment === "" ? "" : ` ${prose(comment)}`}`;
      });
    const comments = op
      .getDeclarations()
      .flatMap((one) => (Node.isPropertySignature(one) ? one.getJsDocs() : []));
    const note = comments.map((doc) => prose(doc.getDescription().trim())).join(" ");
    texts.set(op.getName(), { attributes, note });
  }
  return texts;
}

function table(names: readonly OpName[]): string {
  const rows = names.map((name) => {
    const { documentation, cost, fusion, vjp } = definitionOf(name);
    const cells = [
      `[${code(name)}](#${name.toLowerCase()})`,
      cell(documentation.summary),
      cell(documentation.result),
      costText(cost),
      "reason" in vjp ? `none: ${cell(vjp.reason)}` : vjp.tag === "rule" ? "rule" : "by definition",
      code(fusion),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const head = ["op", "meaning", "result", "cost", "gradient", "fusion"];
  return [`| ${head.join(" | ")} |`, `|${" --- |".repeat(head.length)}`, ...rows].join("\n");
}

function costText({ perResult, perInput }: OpDefinition["cost"]): string {
  const parts = [
    ...(perResult > 0 ? [`${perResult} per result`] : []),
    ...(perInput > 0 ? [`${perInput} per input`] : []),
  ];
  return parts.length === 0 ? "free" : parts.join(", ");
}

const prose = (text: string) => text.replaceAll("\n", " ").replaceAll("<", "&lt;");

const cell = (text: string) => prose(text).replaceAll("|", "\\|");

const code = (text: string) => `\`${text}\``;

const definitionOf = (name: OpName) => opTable[name] as unknown as OpDefinition;

const printed = (graph: Graph) => printGraph(graph, { origins: false });

function exampleOf(name: OpName): string {
  const builder = new GraphBuilder();
  return printed(builder.finish(name, [{ name: "result", node: opExamples[name](builder) }]));
}

/** The inputs of an op's example in a builder of their own, and the node that is to be explained. */
function siteOf(name: OpName) {
  const whole = new GraphBuilder();
  const node = whole.node(opExamples[name](whole));
  const builder = new GraphBuilder();
  const inputs = node.inputs.map((id) => {
    const { op, attributes } = whole.node(id);
    return builder.add(op, [], attributes as never);
  });
  return { builder, inputs, node, nameOf: (at: number) => whole.node(node.inputs[at]!).attributes.name };
}

/** The definition of a composite, one step deep, as the graph of its example. */
function meaningOf(name: OpName): string | undefined {
  const { meaning } = definitionOf(name);
  if (meaning.tag !== "definition") return undefined;
  const { builder, inputs, node } = siteOf(name);
  const result = meaning.define(builder, inputs, node.attributes as never, node.type);
  return printed(builder.finish(name, [{ name: "result", node: result }]));
}

/** What an op's rule makes of the cotangent of its result; axes that an input lacks are still to be summed. */
function gradientOf(name: OpName): string | undefined {
  const { vjp } = definitionOf(name);
  if (vjp.tag !== "rule" || opTable[name].category === "state") return undefined;
  const { builder, inputs, node, nameOf } = siteOf(name);
  const cotangent = builder.add("input", [], { name: "cotangent", dtype: "f32", axes: node.type.axes });
  const cotangents = vjp.rule({
    builder,
    inputs,
    attributes: node.attributes as never,
    result: builder.add(name, inputs, node.attributes as never),
    cotangent,
    needed: inputs.map((id) => isFloat(builder.type(id).dtype)),
  });
  if (typeof cotangents === "string") throw new Error(`${name}: the example must have a gradient`);
  const outputs = cotangents.flatMap((one, at) =>
    one === undefined ? [] : [{ name: `d${nameOf(at)}`, node: one }],
  );
  // Of the op itself only what the rule reads stays.
  return printed(rewriteGraph(builder.finish(`${name}Gradient`, outputs), () => undefined));
}
