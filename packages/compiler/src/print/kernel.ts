/** Kernels as text: loops, instructions, templates with their slots. */
import type {
  Access,
  Affine,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  AttentionKernel,
  HeadsAccess,
  Instruction,
  Kernel,
  Loop,
  Plan,
  RowProgram,
  Slot,
} from "../plan/types.ts";

export function formatAffine(plan: Plan, affine: Affine): string {
  const terms = affine.terms.map(({ symbol, factor }) => {
    const name = plan.symbols[symbol]?.name ?? `symbol ${symbol}`;
    // A dollar tells a symbol from the loop over the axis of the same name.
    return factor === 1 ? `$${name}` : `${factor}*$${name}`;
  });
  if (affine.constant !== 0 || terms.length === 0) terms.push(String(affine.constant));
  return terms.join(" + ").replaceAll("+ -", "- ");
}

function formatLoops(plan: Plan, loops: readonly Loop[]): string {
  return loops.map((one) => `${one.axis} < ${formatAffine(plan, one.extent)}`).join(", ");
}

/** `b1[seq*64 + row]`. */
function formatAccess(plan: Plan, access: Access, loops: readonly Loop[]): string {
  return `b${access.slot}[${formatPlace(access, loops, formatAffine(plan, access.offset))}]`;
}

/** `64*seq + row`. */
function formatPlace(
  { strides, rowStride }: Pick<Access, "strides" | "rowStride">,
  loops: readonly Loop[],
  offset = "0",
): string {
  const times = (stride: number, of: string) => (stride === 1 ? of : `${stride}*${of}`);
  const parts = strides.flatMap((stride, i) =>
    stride === 0 ? [] : [times(stride, loops[i]?.axis ?? `loop ${i}`)],
  );
  if (offset !== "0") parts.push(offset);
  if (rowStride !== 0) parts.push(times(rowStride, "row"));
  return parts.join(" + ") || "0";
}

function formatInstruction(plan: Plan, one: Instruction, loops: readonly Loop[]): string {
  const r = (register: number) => `r${register}`;
  switch (one.kind) {
    case "load":
      return `load ${formatAccess(plan, one.access, loops)}`;
    case "gather":
      return `gather ${formatAccess(plan, one.access, loops)} at ${one.indexStride}*${r(one.index)}, ${r(one.index)} < ${one.bound}`;
    case "constant":
      return one.special === "" ? String(one.value) : one.special;
    case "index": {
      const axis =
        one.loop >= 0
          ? loops[one.loop]!.axis
          : one.length.terms.length === 0 && one.length.constant === 1
            ? ""
            : "row";
      const offset = formatAffine(plan, one.offset);
      return ["index", axis, offset === "0" && axis !== "" ? "" : offset]
        .filter((part) => part !== "")
        .join(" ");
    }
    case "accumulator":
      return `product ${one.weight}`;
    case "unary":
      return `${one.function} ${r(one.operand)}`;
    case "binary":
      return `${one.function} ${r(one.left)} ${r(one.right)}`;
    case "select":
      return `select ${r(one.condition)} ? ${r(one.then)} : ${r(one.otherwise)}`;
    case "round":
      return `round ${one.dtype} ${r(one.operand)}`;
    case "stochasticRound":
      return `round bf16 ${r(one.operand)} by ${r(one.keyLow)} ${r(one.keyHigh)} ${r(one.stream)} at ${formatPlace(one, loops)}`;
    case "quantizeNvfp4": {
      const random =
        one.random.length === 0 ? "" : ` by ${one.random.map(r).join(" ")} at ${formatPlace(one, loops)}`;
      const options = `${one.fourOverSix ? " four over six" : ""}${one.nonZero ? " without zero" : ""}`;
      return `quantize nvfp4 ${r(one.operand)} scaled ${r(one.encodeScale)}${options}${random}`;
    }
    case "reduce":
      return `reduce ${one.function} ${r(one.operand)}`;
    case "slice":
      return `slice ${r(one.operand)}[${one.start}..${one.start + one.length}]`;
    case "concat":
      return `concat ${one.operands.map(r).join(" ")}`;
    case "store":
      return `store ${formatAccess(plan, one.access, loops)} = ${r(one.operand)}`;
    default:
      return one satisfies never;
  }
}

function formatProgram(plan: Plan, program: RowProgram, indent: string): string[] {
  const row = `row ${program.row.axis === "" ? "" : `${program.row.axis} `}< ${formatAffine(plan, program.row.extent)}`;
  const head = [formatLoops(plan, program.loops), row].filter((part) => part !== "").join(", ");
  return [
    `${indent}for ${head}`,
    ...program.body.map((one, index) => {
      const text = formatInstruction(plan, one, program.loops);
      return `${indent}  ${one.kind === "store" ? text : `r${index} = ${text}`}`;
    }),
  ];
}

function formatHeads(plan: Plan, name: string, access: HeadsAccess): string {
  const offset = formatAffine(plan, access.offset);
  const parts = [
    `${access.positionStride}*position`,
    `${access.headStride}*head`,
    ...(offset === "0" ? [] : [offset]),
    "row",
  ];
  return `  ${name} = b${access.slot}[${parts.join(" + ")}]`;
}

type AnyAttention = AttentionKernel | AttentionForwardKernel | AttentionBackwardKernel;

/** Names of the loops of one number per position and head. */
const perHead: readonly Loop[] = ["position", "head"].map((axis) => ({
  axis,
  extent: { constant: 1, terms: [] },
}));

function attentionSizes(plan: Plan, kernel: AnyAttention): string {
  const [queries, keys, past] = [kernel.queries, kernel.keys, kernel.past].map((one) =>
    formatAffine(plan, one),
  );
  return `  queries ${queries}, keys ${keys}, past ${past}, heads ${kernel.heads} on ${kernel.kvHeads} of ${kernel.headDim}, scale ${kernel.scale}${kernel.causal ? ", causal" : ""}`;
}

function formatOperands<N extends string>(
  plan: Plan,
  kernel: Readonly<Record<N, HeadsAccess>>,
  names: readonly N[],
): string[] {
  return names.map((name) => formatHeads(plan, name, kernel[name]));
}

const formatSlot = (slot: Slot, index: number) => `b${index}: ${slot.access} ${slot.dtype}`;

/** One kernel, line by line. */
export function printKernel(plan: Plan, kernel: Kernel): string {
  const lines = [`${kernel.kind} ${kernel.name}(${kernel.slots.map(formatSlot).join(", ")})`];
  switch (kernel.kind) {
    case "rows":
      lines.push(...formatProgram(plan, kernel.program, "  "));
      break;
    case "matmul":
      lines.push(
        `  x: ${kernel.inputDtype}[${formatLoops(plan, kernel.rows)}, ${kernel.contracted}] = prologue${kernel.orderedSums ? ", ordered sums" : ""}`,
      );
      lines.push(...formatProgram(plan, kernel.prologue, "    "));
      for (const group of kernel.groups) {
        const weights = group.weights.map((slot) => `b${slot}`).join(" and ");
        lines.push(`  product with ${weights} [${group.columns}, ${kernel.contracted}], epilogue`);
        lines.push(...formatProgram(plan, group.epilogue, "    "));
      }
      break;
    case "attention":
      lines.push(attentionSizes(plan, kernel));
      lines.push(...formatOperands(plan, kernel, ["query", "key", "value", "output"]));
      break;
    case "attentionForward": {
      lines.push(attentionSizes(plan, kernel), ...formatOperands(plan, kernel, ["query", "key", "value"]));
      for (const starts of kernel.starts) lines.push(`  starts = ${formatAccess(plan, starts, perHead)}`);
      for (const output of kernel.outputs) lines.push(formatHeads(plan, "output", output));
      for (const sums of kernel.logSumExps) lines.push(`  logSumExp = ${formatAccess(plan, sums, perHead)}`);
      break;
    }
    case "attentionBackward": {
      lines.push(attentionSizes(plan, kernel), ...formatOperands(plan, kernel, ["query", "key", "value"]));
      for (const starts of kernel.starts) lines.push(`  starts = ${formatAccess(plan, starts, perHead)}`);
      lines.push(`  logSumExp = ${formatAccess(plan, kernel.logSumExp, perHead)}`);
      const written = ["queryGradient", "keyGradient", "valueGradient"] as const;
      lines.push(...formatOperands(plan, kernel, ["result", "cotangent", ...written]));
      break;
    }
    case "topK":
      lines.push(
        `  for ${formatLoops(plan, kernel.loops)}`,
        `    ${formatAccess(plan, kernel.output, kernel.loops)} = the ${kernel.count} largest of ${kernel.length} in ${formatAccess(plan, kernel.input, kernel.loops)}`,
      );
      break;
    case "linearCrossEntropy": {
      const { chunk, contracted, classes } = kernel;
      const position: readonly Loop[] = [{ axis: "position", extent: kernel.positions }];
      const one = (access: Access) => formatAccess(plan, access, position);
      lines.push(
        `  positions ${formatAffine(plan, kernel.positions)} in chunks of ${chunk}: b${kernel.scores} = ${one(kernel.input)} * b${kernel.weight} [${classes}, ${contracted}]`,
        `  targets = ${one(kernel.targets)}`,
        ...kernel.losses.map((access) => `  ${one(access)} = cross entropy`),
        ...kernel.cotangents.map(
          (access) => `  slopes = ${kernel.slopeDtype} (softmax - target) * ${one(access)}`,
        ),
        ...kernel.inputGradients.map((access) => `  ${one(access)} = slopes * weight`),
        ...kernel.weightGradients.map(
          (access) =>
            `  ${formatAccess(plan, access, [{ ...position[0]!, axis: "class" }])} = slopes * input`,
        ),
      );
      break;
    }
    case "scatterAdd": {
      const { positions, loops, row, addends } = kernel;
      const destination: Loop = { axis: "index", extent: kernel.bound };
      const index = formatAccess(plan, kernel.indices, positions);
      const updates = formatAccess(plan, kernel.updates, [...positions, ...loops]);
      const sums = formatAccess(plan, kernel.out, [destination, ...loops]);
      const from = addends.map((one) => `${formatAccess(plan, one, [destination, ...loops])} + `).join("");
      lines.push(
        `  for ${formatLoops(plan, [destination, ...loops, row])}`,
        `    ${sums} = ${from}sum over ${formatLoops(plan, positions)} with ${index} = index of ${updates}`,
      );
      break;
    }
    case "contract": {
      const all = [...kernel.loops, ...kernel.contracted];
      lines.push(
        `  for ${formatLoops(plan, kernel.loops)}`,
        `    ${formatAccess(plan, kernel.out, all)} = sum over ${formatLoops(plan, kernel.contracted)} of ${formatAccess(plan, kernel.a, all)} * ${formatAccess(plan, kernel.b, all)}`,
      );
      break;
    }
    default:
      kernel satisfies never;
  }
  return lines.join("\n");
}

/** All kernels of a plan, with the number of steps that use each. */
export function printKernels(plan: Plan): string {
  const uses = plan.kernels.map(() => 0);
  for (const program of plan.programs) for (const step of program.steps) uses[step.kernel]!++;
  return plan.kernels
    .map((kernel, index) => `# kernel ${index}, ${uses[index]} steps\n${printKernel(plan, kernel)}`)
    .join("\n\n");
}
