// What each pass does to a graph: which rules fired and which refused, and the text of the graph after one of them.
//
//   npx tsx examples/inspect-passes.ts [PASS]
import { compile, expandBlock, explain, kvCache, type Pass, printExplanation } from "@weft/compiler";
import {
  attend,
  axis,
  chain,
  linear,
  merge,
  orThrow,
  parallel,
  printGraph,
  residual,
  rmsNorm,
  rope,
} from "@weft/dsl";

const hidden = axis("hidden", 32);
const [heads, kvHeads, headDim] = [axis("heads", 4), axis("kvHeads", 2), axis("headDim", 8)];

const attention = residual(
  chain(
    rmsNorm("norm", hidden, 1e-6),
    parallel(
      chain(linear("q", hidden, [heads, headDim]), rope(headDim, 10_000)),
      chain(linear("k", hidden, [kvHeads, headDim]), rope(headDim, 10_000)),
      linear("v", hidden, [kvHeads, headDim]),
    ),
    merge(attend({ heads, kvHeads, headDim, causal: true })),
    linear("o", [heads, headDim], hidden),
  ),
);

const seq = axis("seq", { symbol: "seq", max: 16 });
const graph = expandBlock(attention, { name: "attention", lead: [seq] });
// The cache is a pass: the block above knows nothing of it.
const passes: Pass[] = [kvCache({ capacity: 64, dtype: "f32" })];
const compiled = orThrow(compile([{ name: "main", graph, passes }], { name: "attention" }));

const [program] = compiled.compiled;
for (const record of program!.records) {
  console.log(`${record.pass}: ${record.before.nodes.length} nodes to ${record.after.nodes.length}`);
  for (const [rule, places] of record.fired) console.log(`  ${rule} x${places.length}`);
  for (const one of record.refusals) console.log(`  refused ${one.rule}: ${one.reason}`);
}

const wanted = process.argv[2] ?? "kvCache";
const record = program!.records.find((one) => one.pass === wanted);
console.log(`\nafter ${wanted}:\n${record === undefined ? "no such pass" : printGraph(record.after)}`);

console.log("what became of q:");
console.log(printExplanation(explain(compiled, "q")!));
