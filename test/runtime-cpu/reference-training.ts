/** What the kernels of training mean, in the plainest TypeScript. */
import type {
  Access,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  HeadsAccess,
  LinearCrossEntropyKernel,
  ScatterAddKernel,
} from "@weft/compiler";
import { type Bound, element, evaluate, indices, roundTo } from "./reference-values.ts";

interface SeenKeys {
  readonly first: number;
  readonly last: number;
}

/** The keys that a query of a training step sees. */
function seenKeys(
  kernel: AttentionForwardKernel | AttentionBackwardKernel,
  bound: Bound,
  query: number,
): SeenKeys {
  const keys = evaluate(kernel.keys, bound.symbols);
  if (!kernel.causal) return { first: 0, last: keys };
  const last = Math.min(evaluate(kernel.past, bound.symbols) + query + 1, keys);
  const [starts] = kernel.starts;
  const first = starts === undefined ? 0 : bound.slots[starts.slot]!.data[element(starts, bound, [query])]!;
  return { first: Math.min(Math.max(first, 0), last), last };
}

const headsElement = (access: HeadsAccess, bound: Bound, position: number, head: number) =>
  evaluate(access.offset, bound.symbols) + position * access.positionStride + head * access.headStride;

const headRow = (access: HeadsAccess, bound: Bound, position: number, head: number, headDim: number) => {
  const first = headsElement(access, bound, position, head);
  return [...bound.slots[access.slot]!.data.subarray(first, first + headDim)];
};

const dotOf = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

export function runAttentionForward(kernel: AttentionForwardKernel, bound: Bound): void {
  const { heads, kvHeads, headDim, scale } = kernel;
  for (let query = 0; query < evaluate(kernel.queries, bound.symbols); query++) {
    const { first, last } = seenKeys(kernel, bound, query);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      const q = headRow(kernel.query, bound, query, head, headDim);
      const keys = Array.from({ length: last - first }, (_, i) => first + i);
      const scores = keys.map((key) => scale * dotOf(q, headRow(kernel.key, bound, key, shared, headDim)));
      const top = Math.max(...scores);
      const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
      for (const output of kernel.outputs) {
        const mixed = new Array<number>(headDim).fill(0);
        keys.forEach((key, i) => {
          const weight = Math.exp(scores[i]! - top) / sum;
          headRow(kernel.value, bound, key, shared, headDim).forEach((value, d) => {
            mixed[d]! += weight * value;
          });
        });
        bound.slots[output.slot]!.data.set(mixed, headsElement(output, bound, query, head));
      }
      for (const sums of kernel.logSumExps)
        bound.slots[sums.slot]!.data[element(sums, bound, [query, head])] = top + Math.log(sum);
    }
  }
}

export function runAttentionBackward(kernel: AttentionBackwardKernel, bound: Bound): void {
  const { heads, kvHeads, headDim, scale } = kernel;
  const zeros = (access: HeadsAccess, positions: number, count: number) => {
    for (let position = 0; position < positions; position++)
      for (let head = 0; head < count; head++) {
        const at = headsElement(access, bound, position, head);
        bound.slots[access.slot]!.data.fill(0, at, at + headDim);
      }
  };
  const [queries, keys] = [kernel.queries, kernel.keys].map((one) => evaluate(one, bound.symbols));
  zeros(kernel.queryGradient, queries!, heads);
  zeros(kernel.keyGradient, keys!, kvHeads);
  zeros(kernel.valueGradient, keys!, kvHeads);
  const add = (
    access: HeadsAccess,
    position: number,
    head: number,
    factor: number,
    row: readonly number[],
  ) => {
    const at = headsElement(access, bound, position, head);
    row.forEach((value, d) => {
      bound.slots[access.slot]!.data[at + d]! += factor * value;
    });
  };
  for (let query = 0; query < queries!; query++) {
    const { first, last } = seenKeys(kernel, bound, query);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / kvHeads));
      const q = headRow(kernel.query, bound, query, head, headDim);
      const cotangent = headRow(kernel.cotangent, bound, query, head, headDim);
      const correction = dotOf(cotangent, headRow(kernel.result, bound, query, head, headDim));
      const sum = bound.slots[kernel.logSumExp.slot]!.data[element(kernel.logSumExp, bound, [query, head])]!;
      for (let key = first; key < last; key++) {
        const k = headRow(kernel.key, bound, key, shared, headDim);
        const weight = Math.exp(scale * dotOf(q, k) - sum);
        const change = dotOf(cotangent, headRow(kernel.value, bound, key, shared, headDim));
        const slope = weight * (change - correction) * scale;
        add(kernel.queryGradient, query, head, slope, k);
        add(kernel.keyGradient, key, shared, slope, q);
        add(kernel.valueGradient, key, shared, weight, cotangent);
      }
    }
  }
}

export function runLinearCrossEntropy(kernel: LinearCrossEntropyKernel, bound: Bound): void {
  const { contracted, classes } = kernel;
  const positions = evaluate(kernel.positions, bound.symbols);
  const data = (slot: number) => bound.slots[slot]!.data;
  const weight = Array.from({ length: classes }, (_, row) => [
    ...data(kernel.weight).subarray(row * contracted, (row + 1) * contracted),
  ]);
  const ofWeight = weight.map((row) => row.map(() => 0));
  for (let position = 0; position < positions; position++) {
    const at = (access: Access) => element(access, bound, [position]);
    const first = at(kernel.input);
    const input = [...data(kernel.input.slot).subarray(first, first + contracted)];
    const scores = weight.map((row) => dotOf(row, input));
    const target = data(kernel.targets.slot)[at(kernel.targets)]!;
    const top = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(score - top), 0);
    const loss = target < 0 ? 0 : Math.log(sum) + top - (scores[target] ?? 0);
    for (const one of kernel.losses) data(one.slot)[at(one)] = loss;
    const [cotangent] = kernel.cotangents;
    if (cotangent === undefined) continue;
    const change = target < 0 ? 0 : data(cotangent.slot)[at(cotangent)]!;
    const slopes = scores.map((score, row) =>
      roundTo(kernel.slopeDtype, (Math.exp(score - top) / sum - (row === target ? 1 : 0)) * change),
    );
    for (const one of kernel.inputGradients)
      for (let k = 0; k < contracted; k++)
        data(one.slot)[at(one) + k] = slopes.reduce(
          (total, slope, row) => total + slope * weight[row]![k]!,
          0,
        );
    slopes.forEach((slope, row) => {
      input.forEach((value, k) => {
        ofWeight[row]![k]! += slope * value;
      });
    });
  }
  for (const one of kernel.weightGradients)
    ofWeight.forEach((row, at) => {
      data(one.slot).set(row, element(one, bound, [at]));
    });
}

export function runScatterAdd(kernel: ScatterAddKernel, bound: Bound): void {
  const { positions, loops, row, addends } = kernel;
  const rows = evaluate(kernel.bound, bound.symbols);
  const columns = evaluate(row.extent, bound.symbols);
  const { data } = bound.slots[kernel.out.slot]!;
  const [addend] = addends;
  for (const outer of indices(loops, bound.symbols)) {
    for (let column = 0; column < columns; column++) {
      const sums = Array.from({ length: rows }, (_, at) =>
        addend === undefined
          ? 0
          : bound.slots[addend.slot]!.data[element(addend, bound, [at, ...outer]) + column]!,
      );
      for (const position of indices(positions, bound.symbols)) {
        const at = bound.slots[kernel.indices.slot]!.data[element(kernel.indices, bound, position)]!;
        if (!(at >= 0 && at < rows)) throw new Error(`scatter index ${at}`);
        const update = element(kernel.updates, bound, [...position, ...outer]);
        sums[at]! += bound.slots[kernel.updates.slot]!.data[update + column * kernel.updates.rowStride]!;
      }
      sums.forEach((sum, at) => {
        data[element(kernel.out, bound, [at, ...outer]) + column] = Math.fround(sum);
      });
    }
  }
}
