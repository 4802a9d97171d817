/** The view of a compilation: everything that it links exists, nothing is said twice, and what passes did is right. */
import { compile, costOf, type PassRecord, planVersion, precision } from "@weft/compiler";
import { type Graph, GraphBuilder, orThrow } from "@weft/dsl";
import {
  compileQwen3,
  compileTrainingModel,
  type Qwen3Config,
  qwen3Model,
  unfilledWeights,
  usualOn,
} from "@weft/qwen3";
import {
  addedNode,
  changedNode,
  nodeColumns,
  packedType,
  pageOf,
  type Row,
  sameNode,
  stepColumns,
  textOf,
  unpackRows,
  type View,
  viewOf,
} from "@weft/viewer";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { layeredGraph } from "../support/layered-graph.ts";
import { qwen3Of4B, threeLayers } from "../support/qwen3-config.ts";
import { viewInPage } from "../support/view-in-page.ts";

const test = suite("view");
const roofline = { bytesPerSecond: 1e11, operationsPerSecond: 1e13, source: "a test" };

const compiledModel = (config: Qwen3Config, capacity: number, chunk: number) =>
  orThrow(
    compileQwen3(config, {
      capacity,
      chunk,
      policy: "bf16",
      storage: () => "bf16",
      logits: "last",
      candidates: usualOn("cuda").candidates,
    }),
  );
const compiled = compiledModel(threeLayers, 64, 16);
const options = { target: "three layers", device: "cuda", block: qwen3Model(threeLayers), roofline } as const;
const view = viewOf(compiled, options);

/** The nodes of each stage of a program; a stage in which nothing changed has those of the one before. */
function stagesOf(of: View, program: number): Row[][] {
  const stages: Row[][] = [];
  for (const { nodes } of of.programs[program]!.stages)
    stages.push(nodes === null ? stages.at(-1)! : unpackRows(nodes));
  return stages;
}

test("nodes are those of the graphs, in every stage", () => {
  compiled.compiled.forEach(({ records, fused }, index) => {
    const graphs: Graph[] = [records[0]!.before, ...records.map((one) => one.after), fused.graph];
    const stages = stagesOf(view, index);
    assert.equal(
      view.programs[index]!.stages.map((one) => one.pass),
      ["given", ...records.map((one) => one.pass), "fuse"],
    );
    graphs.forEach((graph, stage) => {
      assert.is(stages[stage]!.length, graph.nodes.length);
      graph.nodes.forEach((node, id) => {
        const row = stages[stage]![id]!;
        assert.is(view.texts[row[0]!], node.op);
        assert.is(textOf(view.texts, [row[1]!, row[nodeColumns.pathNumber]!]), node.origin.path);
        assert.equal(row.slice(nodeColumns.inputs), node.inputs);
      });
    });
  });
});

test("steps name their nodes, buffers and costs", () => {
  compiled.plan.programs.forEach((program, index) => {
    const costs = costOf(compiled.plan, program, view.programs[index]!.at);
    const rows = unpackRows(view.programs[index]!.steps);
    const last = stagesOf(view, index).at(-1)!;
    assert.is(rows.length, program.steps.length);
    const computed = new Set<number>();
    rows.forEach((row, step) => {
      const [kernel, buffers, nodes] = row as [number, number, number];
      const { lists } = stepColumns;
      assert.is(kernel, program.steps[step]!.kernel);
      assert.equal(row.slice(lists, lists + buffers), program.steps[step]!.bindings);
      const own = row.slice(lists + buffers, lists + buffers + nodes);
      assert.ok(own.length > 0 && own.every((id) => id < last.length));
      for (const id of own) computed.add(id);
      const { readBytes, writtenBytes, operations } = costs[step]!;
      assert.equal(row.slice(stepColumns.read, lists), [readBytes, writtenBytes, operations]);
    });
    // What is stored is computed by a step.
    last.forEach((row, id) => {
      if (row[nodeColumns.stored] === 1) assert.ok(computed.has(id), `node ${id}`);
    });
  });
});

test("steps say what they were grown from, and why others are not in them", () => {
  const rows = unpackRows(view.programs[1]!.steps);
  const textsOf = (row: Row) => {
    const [, buffers, nodes, origins, reasons, boundaries] = row as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const start = stepColumns.lists + buffers + nodes + 2 * origins;
    return Array.from({ length: reasons + boundaries }, (_, at) =>
      textOf(view.texts, [row[start + 2 * at]!, row[start + 2 * at + 1]!]),
    );
  };
  const outputs = rows
    .map(textsOf)
    .find((texts) => texts.some((one) => one.endsWith("layers.1.self_attn.o_proj")))!;
  assert.ok(outputs.includes("it was grown from dot of model.layers.1.self_attn.o_proj"), outputs.join("\n"));
  assert.ok(
    outputs.includes(
      "reads attend of model.layers.1; attention kernel: the kernel of attention takes in nothing that follows",
    ),
    outputs.join("\n"),
  );
});

test("the arena over the steps is what the plan needs", () => {
  view.programs.forEach(({ memory }, index) => {
    const planned = compiled.programs[index]!;
    assert.is(memory.bytes, planned.bytes);
    assert.is(memory.alive.length, compiled.plan.programs[index]!.steps.length);
    assert.ok(Math.max(...memory.alive) <= planned.bytes);
    assert.ok(Math.max(...memory.alive) > 0.5 * planned.lowerBound);
  });
});

test("kernels for CUDA have the text that is compiled, beside the program", () => {
  view.kernels.forEach(({ name, program, cuda }, index) => {
    assert.match(program, name);
    assert.match(cuda!, `k${index}_`);
    assert.match(cuda!, "const Args<");
  });
  const ofCpu = viewOf(compiled, { ...options, device: "cpu" });
  assert.ok(ofCpu.kernels.every(({ cuda }) => cuda === undefined));
});

test("a view is plain data, the same each time", () => {
  assert.equal(JSON.parse(JSON.stringify(view)), view);
  assert.is(JSON.stringify(viewOf(compiled, options)), JSON.stringify(view));
});

/** The states of nodes after a pass, by op. */
function changesOf(run: (graph: Graph) => Graph): readonly (readonly [op: string, state: number])[] {
  const graph = layeredGraph(1);
  const pass = { name: "change", summary: "changes it", run };
  const made = orThrow(compile([{ name: "main", graph, passes: [pass] }], { name: "changes" }));
  const one = viewOf(made, { target: "graph", device: "cpu", roofline });
  const stage = one.programs[0]!.stages.findIndex(({ pass: name }) => name === "change");
  return stagesOf(one, 0)[stage]!.map((row) => [one.texts[row[0]!]!, row[nodeColumns.state]!] as const);
}

test("what a pass adds is added, what reads something else has changed, the rest is the same", () => {
  const changes = changesOf((graph) => {
    const builder = new GraphBuilder();
    // A negation before the last node.
    for (const node of graph.nodes.slice(0, -1)) {
      builder.origin = node.origin;
      builder.add(node.op, node.inputs as never, node.attributes as never);
    }
    const last = graph.nodes.at(-1)!;
    builder.origin = last.origin;
    const negated = builder.add("neg", [last.inputs[0]!], {});
    const y = builder.add("tanh", [negated], {});
    return builder.finish(graph.name, [
      { name: "y", node: y },
      { name: "middle", node: graph.outputs[1]!.node },
    ]);
  });
  assert.equal(
    changes.filter(([, state]) => state !== sameNode),
    [
      ["neg", addedNode],
      ["tanh", changedNode],
    ],
  );
});

test("a pass that changes nothing stores no graph again", () => {
  const graph = layeredGraph(3);
  const records: PassRecord[] = [];
  const passes = [precision({ policy: "f32", storage: () => "f32" })];
  const made = orThrow(compile([{ name: "main", graph, passes }], { name: "same" }));
  records.push(...made.compiled[0]!.records);
  const { stages } = viewOf(made, { target: "graph", device: "cpu", roofline }).programs[0]!;
  const same = records.findIndex(({ before, after }) => JSON.stringify(before) === JSON.stringify(after));
  assert.ok(same >= 0);
  assert.is(stages[same + 1]!.nodes, null);
});

test("of a plan alone there are kernels and memory", () => {
  const { block: _, ...rest } = options;
  const alone = viewOf(compiled.plan, rest);
  assert.is(alone.notation, undefined);
  assert.equal(
    alone.programs.map((one) => one.stages.length),
    [0, 0],
  );
  assert.equal(unpackRows(alone.buffers).length, compiled.plan.buffers.length);
  assert.equal(
    alone.programs.map((one) => one.memory.bytes),
    view.programs.map((one) => one.memory.bytes),
  );
  assert.equal(
    alone.programs.map(({ memory }) => memory.alive),
    view.programs.map(({ memory }) => memory.alive),
  );
});

test("a plan of another version is refused", () => {
  assert.throws(
    () => viewOf({ ...compiled.plan, version: planVersion - 1 }, options),
    new RegExp(
      `\\[inspect\\] the plan must be of version ${planVersion}; given version ${planVersion - 1}; at `,
    ),
  );
});

test("Qwen3-4B with every pass, all kernels and their CUDA text is a page of less than 1 MB", () => {
  const large = compiledModel(qwen3Of4B, 4096, 512);
  const whole = viewOf(large, { ...options, target: "4B", block: qwen3Model(qwen3Of4B) });
  const page = pageOf(whole);
  assert.ok(page.length < 1e6, `${page.length} characters`);
  // 36 layers take hardly more than three: the further ones are stored as numbers.
  const programs = (of: View) => JSON.stringify(of.programs).length;
  assert.ok(programs(whole) < 2.5 * programs(view), `${programs(whole)} beside ${programs(view)}`);
});

test("training Qwen3-4B or its adapters, with every pass and the CUDA text of all kernels, is a page of less than 1 MB", () => {
  const common = { sequence: 1024, policy: "bf16", record: true } as const;
  for (const own of [{ trainedDtype: "bf16" }, { lora: { rank: 16, seed: 0 } }] as const) {
    const training = compileTrainingModel(qwen3Of4B, unfilledWeights(qwen3Of4B), { ...common, ...own });
    const made = viewOf(training, { ...options, target: "4B", block: qwen3Model(qwen3Of4B) });
    const page = pageOf(made);
    assert.ok(page.length < 1e6, `${page.length} characters`);
    // Large views are packed, and are the same values.
    assert.match(page, `<script type="${packedType}" id="view">`);
    assert.equal(viewInPage(page), JSON.parse(JSON.stringify(made)));
  }
});

test.run();
