/** State that outlives a run, as arrays of full capacity that the state ops read and change. */
import {
  elementCount,
  forEachIndex,
  type Graph,
  maxSize,
  type OpAttributes,
  roundTo,
  stridesOf,
  type TensorArray,
  type TensorType,
} from "@weft/dsl";

/** The present value of each state, by name. A run changes it; give the same one to the next run. */
export type InterpreterState = Map<string, TensorArray>;

/** States as they are before the first run: full of zeros, symbolic axes at their bound. */
export function initialState(graph: Graph): InterpreterState {
  return new Map(graph.states.map(({ name, type }) => [name, zeros(type)]));
}

function zeros({ dtype, axes }: TensorType): TensorArray {
  const full = axes.map((one) => ({ name: one.name, size: maxSize(one.size) }));
  return { dtype, axes: full, data: new Float64Array(elementCount(full)) };
}

/** The part of a state that the sizes of `axes` cover, as a copy: later writes must not change it. */
export function readState(state: TensorArray, axes: TensorArray["axes"]): TensorArray {
  const data = new Float64Array(elementCount(axes));
  forEachIndex(axes, [stridesOf(state.axes)], ([from], place) => {
    data[place] = state.data[from!]!;
  });
  return { dtype: state.dtype, axes, data };
}

/** Writes a value over the front of a state, rounded as the state stores it. */
export function writeState(state: TensorArray, value: TensorArray): void {
  copyInto(state, value, value.axes, 0);
}

/**
 * Writes the rows of `value` into the state from the row `past` on.
 * @throws RangeError when the rows do not fit.
 */
export function appendState(
  state: TensorArray,
  value: TensorArray,
  { axis, into, state: name }: OpAttributes["stateAppend"],
  past: number,
): void {
  const rows = value.axes.find((one) => one.name === axis)!.size;
  const capacity = state.axes.find((one) => one.name === into)!.size;
  if (past + rows > capacity) {
    throw new RangeError(
      `the state "${name}" must have room for ${past} past and ${rows} new rows; given a capacity of ${capacity}`,
    );
  }
  const renamed = value.axes.map((one) => (one.name === axis ? { name: into, size: one.size } : one));
  copyInto(state, value, renamed, past * stridesOf(state.axes).get(into)!);
}

function copyInto(state: TensorArray, value: TensorArray, axes: TensorArray["axes"], base: number): void {
  forEachIndex(axes, [stridesOf(state.axes)], ([to], place) => {
    state.data[base + to!] = roundTo(state.dtype, value.data[place]!);
  });
}
