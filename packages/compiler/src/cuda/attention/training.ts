/**
 * Attention of a training step: on tensor cores where the operands are bf16, else a warp for each query and head, and in
 * the backward direction one for each key and head.
 */
import type {
  Affine,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  HeadsAccess,
} from "../../plan/types.ts";
import { affineText, type Code, floatText, slotView } from "../code.ts";
import { flatTiles, framePart, type KernelContext, type KernelPart, type KernelText } from "../kernel.ts";
import { emitFlashBackward, emitFlashForward, isTiled } from "./training-flash.ts";
import { at, place, type TrainingKernel, writeOperand } from "./training-text.ts";

const warps = 4;
const prelude = [
  "device.cuh",
  "numbers.cuh",
  "rows.cuh",
  "blocks.cuh",
  "attention.cuh",
  "attention_training.cuh",
] as const;

/** One warp for each position and head; `body` knows them by these names. */
function warpsPart(
  kernel: TrainingKernel,
  context: KernelContext,
  over: {
    readonly name: string;
    readonly positions: Affine;
    readonly heads: number;
    readonly position: string;
  },
  body: (code: Code) => void,
): KernelPart {
  const { positions, heads, position } = over;
  const one: Affine = { constant: heads, terms: [] };
  return framePart(
    {
      name: over.name,
      about: [
        ...context.about,
        `${kernel.heads} heads on ${kernel.kvHeads} of ${kernel.headDim}; a warp for each ${position} and head`,
      ],
      slots: kernel.slots,
      threads: 32 * warps,
      sharedBytes: 0,
      blocks: flatTiles([positions, one], warps),
    },
    (code) => {
      code.line(`const i64 item = block * ${warps} + warp_index();`);
      code.line(`if (item >= ${heads} * ${affineText(positions)}) return;`);
      code.line(`const i64 ${position} = item / ${heads};`);
      code.line(`const i32 head = static_cast<i32>(item % ${heads});`);
      writeSeen(code, kernel);
      body(code);
    },
  );
}

function writeSeen(code: Code, kernel: TrainingKernel): void {
  const [starts] = kernel.starts;
  const keys = affineText(kernel.keys);
  code.block("const auto seen_by = [&]([[maybe_unused]] i64 of) -> SeenKeys", () => {
    if (!kernel.causal) {
      code.line(`return {0, ${keys}};`);
      return;
    }
    code.line(`const i64 sight = of + ${affineText(kernel.past)} + 1;`);
    code.line(`const i64 last = sight < ${keys} ? sight : ${keys};`);
    if (starts === undefined) code.line("return {0, last};");
    else {
      code.line(`const i64 start = load(${slotView(starts.slot)}, ${at(starts, ["of"])});`);
      code.line("return {start < 0 ? 0 : start < last ? start : last, last};");
    }
  });
  code.line(";");
}

export function emitAttentionForward(kernel: AttentionForwardKernel, context: KernelContext): KernelText {
  if (isTiled(kernel, context)) return emitFlashForward(kernel, context);
  const { heads, kvHeads, headDim, scale } = kernel;
  const over = { name: context.name, positions: kernel.queries, heads, position: "query" };
  const part = warpsPart(kernel, context, over, (code) => {
    writeOperand(code, kernel, "queries", kernel.query);
    writeOperand(code, kernel, "keys", kernel.key);
    writeOperand(code, kernel, "values", kernel.value);
    code.line(
      `attend_forward<${headDim}>(queries, keys, values, query, head, ${heads / kvHeads}, seen_by(query), ${floatText(scale)},`,
    );
    const row = `[[maybe_unused]] const HeadRow<${headDim}>& mixed, [[maybe_unused]] float factor`;
    code.block(`    [&](${row}, [[maybe_unused]] float log_sum)`, () => {
      for (const output of kernel.outputs)
        code.line(
          `store_head<${headDim}>(${slotView(output.slot)}, index_of(${place(output)}, query, head), mixed, factor);`,
        );
      for (const sums of kernel.logSumExps)
        code.line(
          `if (lane_index() == 0) store(${slotView(sums.slot)}, ${at(sums, ["query", "head"])}, log_sum);`,
        );
    });
    code.line(");");
  });
  return { parts: [part], prelude, scratchBytes: 0, tickets: 0 };
}

export function emitAttentionBackward(kernel: AttentionBackwardKernel, context: KernelContext): KernelText {
  if (isTiled(kernel, context)) return emitFlashBackward(kernel, context);
  const { heads, kvHeads, headDim } = kernel;
  const group = heads / kvHeads;
  const scale = floatText(kernel.scale);
  const operands = (code: Code) => {
    writeOperand(code, kernel, "queries", kernel.query);
    writeOperand(code, kernel, "keys", kernel.key);
    writeOperand(code, kernel, "values", kernel.value);
    writeOperand(code, kernel, "results", kernel.result);
    writeOperand(code, kernel, "cotangents", kernel.cotangent);
    code.block(`const auto side_of = [&](i64 of, i32 of_head) -> QuerySide<${headDim}>`, () => {
      const row = (name: string) => `load_head<${headDim}>(${name}, of, of_head)`;
      code.line(`const HeadRow<${headDim}> cotangent = ${row("cotangents")};`);
      code.line(`const float correction = dot_heads<${headDim}>(cotangent, ${row("results")});`);
      const { slot } = kernel.logSumExp;
      const sum = `load(${slotView(slot)}, ${at(kernel.logSumExp, ["of", "of_head"])})`;
      code.line(`return {${row("queries")}, cotangent, correction, ${sum}};`);
    });
    code.line(";");
  };
  const store = (code: Code, access: HeadsAccess, position: string, row: string) =>
    code.line(
      `store_head<${headDim}>(${slotView(access.slot)}, index_of(${place(access)}, ${position}, head), ${row}, 1.0f);`,
    );
  const ofQueries = { name: context.name, positions: kernel.queries, heads, position: "query" };
  const queries = warpsPart(kernel, context, ofQueries, (code) => {
    operands(code);
    code.line(
      `const HeadRow<${headDim}> sum = query_gradient<${headDim}>(side_of(query, head), keys, values, head / ${group}, seen_by(query), ${scale});`,
    );
    store(code, kernel.queryGradient, "query", "sum");
  });
  const ofKeys = { name: `${context.name}_keys`, positions: kernel.keys, heads: kvHeads, position: "key" };
  const keys = warpsPart(kernel, context, ofKeys, (code) => {
    operands(code);
    const first = `key - ${affineText(kernel.past)}`;
    code.line(`const i64 first = ${kernel.causal ? `${first} < 0 ? 0 : ${first}` : "0"};`);
    code.line(`HeadRow<${headDim}> of_key, of_value;`);
    code.line(
      `key_gradients<${headDim}>(keys, values, key, head, ${group}, first, ${affineText(kernel.queries)}, ${scale}, side_of, seen_by, of_key, of_value);`,
    );
    store(code, kernel.keyGradient, "key", "of_key");
    store(code, kernel.valueGradient, "key", "of_value");
  });
  return { parts: [queries, keys], prelude, scratchBytes: 0, tickets: 0 };
}
