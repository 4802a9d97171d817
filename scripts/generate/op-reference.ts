/** Writes docs/ops.md: every op of the table with its attributes, cost and, for a composite, its definition. */
import { join } from "node:path";
import {
  GraphBuilder,
  type OpAttributes,
  type OpCategory,
  type OpDefinition,
  type OpName,
  opNames,
  opTable,
  printGraph,
} from "@weft/dsl";
import { Node, Project } from "ts-morph";

const categories: Readonly<Record<OpCategory, readonly [title: string, text: string]>> = {
  structure: ["Structure", "Ops that bring values in."],
  state: [
    "State",
    "Values that outlive a run: a KV cache, an optimizer's moments. List order is execution order.",
  ],
  pointwise: [
    "Pointwise",
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
      "name, and no op needs them in an order. Cost counts floating-point operations per element of the result, or of the",
      "first input. The derivative says how a gradient goes back: by a rule, through the definition, or not at all.",
    ].join("\n"),
    "How fusion may treat an op:",
    Object.entries(fusions)
      .map(([name, text]) => `* \`${name}\`: ${text}`)
      .join("\n"),
  ];
  for (const [category, [title, text]] of Object.entries(categories)) {
    const names = opNames.filter((name) => opTable[name].category === category);
    parts.push(`## ${title}`, text, table(names, attributes));
    for (const name of names) {
      const definition = definitionOf(name);
      if (definition !== undefined) parts.push(`### ${name}`, `\`\`\`\n${definition}\`\`\``);
    }
  }
  return new Map([["docs/ops.md", `${parts.join("\n\n")}\n`]]);
}

type AttributeTexts = ReadonlyMap<string, readonly string[]>;

/** `name`: type and comment of every attribute, by op, from the interfaces in ops/names.ts. */
function readAttributes(root: string): AttributeTexts {
  const project = new Project({
    skipAddingFilesFromTsConfig: true,
    skipLoadingLibFiles: true,
    compilerOptions: { strict: true },
  });
  const file = project.addSourceFileAtPath(join(root, "packages/dsl/src/ops/names.ts"));
  const texts = new Map<string, readonly string[]>();
  for (const op of file.getInterfaceOrThrow("OpAttributes").getType().getProperties()) {
    const lines = op
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
        return `${code(`${name}: ${type}`)}${comment === "" ? "" : ` ${cell(comment)}`}`;
      });
    const comments = op
      .getDeclarations()
      .flatMap((one) => (Node.isPropertySignature(one) ? one.getJsDocs() : []));
    const note = comments.map((doc) => cell(doc.getDescription().trim())).join(" ");
    texts.set(op.getName(), note === "" ? lines : [...lines, note]);
  }
  return texts;
}

function table(names: readonly OpName[], attributes: AttributeTexts): string {
  const rows = names.map((name) => {
    const { documentation, cost, fusion, vjp } = opTable[name] as unknown as OpDefinition;
    const { summary, inputs, result, source } = documentation;
    const cells = [
      code(name),
      cell(summary) + (source === undefined ? "" : `<br>${cell(source)}`),
      inputs.map(cell).join("<br>"),
      (attributes.get(name) ?? []).join("<br>"),
      cell(result),
      costText(cost),
      "reason" in vjp ? `none: ${cell(vjp.reason)}` : vjp.tag === "rule" ? "rule" : "by definition",
      code(fusion),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const head = ["op", "meaning", "inputs", "attributes", "result", "cost", "derivative", "fusion"];
  return [`| ${head.join(" | ")} |`, `|${" --- |".repeat(head.length)}`, ...rows].join("\n");
}

function costText({ perResult, perInput }: OpDefinition["cost"]): string {
  const parts = [
    ...(perResult > 0 ? [`${perResult} per result`] : []),
    ...(perInput > 0 ? [`${perInput} per input`] : []),
  ];
  return parts.length === 0 ? "free" : parts.join(", ");
}

function cell(text: string): string {
  return text.replaceAll("\n", " ").replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function code(text: string): string {
  return `\`${text.replaceAll("|", "\\|")}\``;
}

/** The smallest use of each composite that shows its definition. */
const examples: { readonly [K in OpName]?: (builder: GraphBuilder) => number } = {
  position: (b) => b.add("position", [], { axis: seq }),
  linear: (b) =>
    b.add(
      "linear",
      [floats(b, "x", [seq, hidden]), floats(b, "weight", [wide, hidden]), floats(b, "bias", [wide])],
      {
        from: ["hidden"],
        to: ["wide"],
      },
    ),
  embedding: (b) => {
    return b.add(
      "embedding",
      [indices(b, "indices"), floats(b, "weight", [{ name: "vocab", size: 320 }, hidden], "bf16")],
      { axis: "vocab" },
    );
  },
  rmsNorm: (b) =>
    b.add("rmsNorm", [floats(b, "x", [seq, hidden]), floats(b, "weight", [hidden])], {
      axis: "hidden",
      epsilon: 1e-6,
    }),
  softmax: (b) => b.add("softmax", [floats(b, "x", [seq, hidden])], { axis: "hidden" }),
  silu: (b) => b.add("silu", [floats(b, "x", [seq, hidden])], {}),
  rope: (b) => {
    const x = floats(b, "x", [seq, headDim]);
    return b.add("rope", [x, indices(b, "position")], { axis: "headDim", theta: 10000, sequence: "seq" });
  },
  attend: (b) => b.add("attend", [...queriesAndKeys(b, "q", "k", "v"), indices(b, "index")], attention),
  attendLogSumExp: (b) =>
    b.add("attendLogSumExp", [...queriesAndKeys(b, "q", "k"), indices(b, "index")], attention),
  attendGradient: (b) => {
    const [result, cotangent] = queriesAndKeys(b, "result").concat(queriesAndKeys(b, "cotangent"));
    return b.add(
      "attendGradient",
      [
        ...queriesAndKeys(b, "q", "k", "v"),
        indices(b, "index"),
        result!,
        floats(b, "logSumExp", [seq, heads]),
        cotangent!,
      ],
      attention,
    );
  },
  mean: (b) => b.add("mean", [floats(b, "x", [seq, hidden])], { axis: "seq" }),
  crossEntropy: (b) =>
    b.add("crossEntropy", [floats(b, "logits", [seq, classes]), indices(b, "targets")], { axis: "classes" }),
  crossEntropyGradient: (b) =>
    b.add(
      "crossEntropyGradient",
      [floats(b, "logits", [seq, classes]), indices(b, "targets"), floats(b, "cotangent", [seq])],
      { axis: "classes" },
    ),
  meanCrossEntropy: (b) =>
    b.add("meanCrossEntropy", [floats(b, "logits", [seq, classes]), indices(b, "targets")], {
      axis: "classes",
      over: ["seq"],
    }),
  pointwise: (b) =>
    b.add("pointwise", [floats(b, "x", [seq, hidden])], {
      name: "twice",
      expression: {
        tag: "binary",
        function: "mul",
        left: { tag: "argument", index: 0 },
        right: { tag: "constant", value: 2 },
      },
    }),
};

type Axes = OpAttributes["input"]["axes"];
const seq = { name: "seq", size: { symbol: "seq", max: 512 } };
const hidden = { name: "hidden", size: 64 };
const wide = { name: "wide", size: 160 };
const heads = { name: "heads", size: 4 };
const kvHeads = { name: "kvHeads", size: 2 };
const headDim = { name: "headDim", size: 16 };
const classes = { name: "classes", size: 320 };
const attention = {
  heads: "heads",
  kvHeads: "kvHeads",
  headDim: "headDim",
  causal: true,
  scale: 0.25,
  sequence: "seq",
};

/** Queries under the first name, keys and values under the others. */
function queriesAndKeys(builder: GraphBuilder, query: string, ...others: readonly string[]): number[] {
  const keys = others.map((name) => floats(builder, name, [seq, kvHeads, headDim]));
  return [floats(builder, query, [seq, heads, headDim]), ...keys];
}

function indices(builder: GraphBuilder, name: string): number {
  return builder.add("input", [], { name, dtype: "i32", axes: [seq] });
}

function floats(builder: GraphBuilder, name: string, axes: Axes, dtype: "f32" | "bf16" = "f32"): number {
  return builder.add("input", [], { name, dtype, axes });
}

/** The definition of a composite, one step deep, as the graph of its example. */
function definitionOf(name: OpName): string | undefined {
  const { meaning } = opTable[name] as unknown as OpDefinition;
  if (meaning.tag !== "definition") return undefined;
  const example = examples[name];
  if (example === undefined) throw new Error(`${name}: the reference must have an example`);
  const whole = new GraphBuilder();
  const node = whole.node(example(whole));
  const builder = new GraphBuilder();
  const inputs = node.inputs.map((id) => {
    const { op, attributes } = whole.node(id);
    return builder.add(op, [], attributes as never);
  });
  const result = meaning.define(builder, inputs, node.attributes as never, node.type);
  return printGraph(builder.finish(name, [{ name: "result", node: result }]), { origins: false });
}
