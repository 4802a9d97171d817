/**
 * Rows of integers, with what repeats stored once. The rows of one layer differ from those of the layer before by the
 * same amounts throughout (its number by one, its buffers and nodes by as many as a layer has), so a repetition is its
 * first turn and what each number grows by. Nothing has to be known of layers for that.
 */

export type Row = readonly number[];

export interface Repetition {
  readonly times: number;
  /** The rows of the first turn. */
  readonly rows: readonly Row[];
  /** What each number of these rows grows by from one turn to the next. */
  readonly growth: readonly Row[];
}

export type PackedRows = readonly (Row | Repetition)[];

const isRepetition = (item: Row | Repetition): item is Repetition => "times" in item;

/** All rows again, in their order. */
export function unpackRows(packed: PackedRows): Row[] {
  return packed.flatMap((item): Row[] => {
    if (!isRepetition(item)) return [item];
    return Array.from({ length: item.times }, (_, turn) =>
      item.rows.map((row, place) => row.map((value, column) => value + turn * item.growth[place]![column]!)),
    ).flat();
  });
}

/** Fewer turns than this are not shorter as a repetition. */
const leastTurns = 3;
/** Rows of the longest turn that is looked for. */
const longestTurn = 4096;
/** How many lengths of a turn are tried at each row. */
const lengthsTried = 24;

/**
 * @param rows Integers that a double holds exactly.
 * @param fixed How many numbers at the front of a row are names, which are equal in all turns.
 */
export function packRows(rows: readonly Row[], fixed: number): PackedRows {
  const keys = rows.map((row) => `${row.length},${row.slice(0, fixed)}`);
  const next = nextWithKey(keys);
  const packed: (Row | Repetition)[] = [];
  for (let start = 0; start < rows.length; ) {
    const found = longestRepetition(rows, keys, next, start);
    packed.push(found ?? rows[start]!);
    start += found === undefined ? 1 : found.times * found.rows.length;
  }
  return packed;
}

/** For each row the next one with its key; -1 behind the last. */
function nextWithKey(keys: readonly string[]): Int32Array {
  const next = new Int32Array(keys.length).fill(-1);
  const last = new Map<string, number>();
  for (let index = keys.length - 1; index >= 0; index--) {
    next[index] = last.get(keys[index]!) ?? -1;
    last.set(keys[index]!, index);
  }
  return next;
}

function longestRepetition(
  rows: readonly Row[],
  keys: readonly string[],
  next: Int32Array,
  start: number,
): Repetition | undefined {
  let best: Repetition | undefined;
  let second = next[start]!;
  for (let tried = 0; tried < lengthsTried && second !== -1; tried++, second = next[second]!) {
    const length = second - start;
    if (length > longestTurn) break;
    // Whatever begins here, shorter turns that cover as much are shorter to store.
    if (best !== undefined && length % best.rows.length === 0) continue;
    const found = repetitionAt(rows, keys, start, length);
    if (found === undefined) continue;
    if (best === undefined || found.times * length > best.times * best.rows.length) best = found;
  }
  return best;
}

function repetitionAt(
  rows: readonly Row[],
  keys: readonly string[],
  start: number,
  length: number,
): Repetition | undefined {
  if (start + leastTurns * length > rows.length) return undefined;
  for (let place = 0; place < length; place++)
    if (keys[start + place] !== keys[start + length + place]) return undefined;
  const first = rows.slice(start, start + length);
  const growth = first.map((row, place) =>
    row.map((value, column) => rows[start + length + place]![column]! - value),
  );
  let times = 2;
  while (continues(rows, keys, start + (times - 1) * length, growth)) times++;
  return times < leastTurns ? undefined : { times, rows: first, growth };
}

/** Whether the turn behind this one is larger than it by `growth`. */
function continues(
  rows: readonly Row[],
  keys: readonly string[],
  from: number,
  growth: readonly Row[],
): boolean {
  const length = growth.length;
  if (from + 2 * length > rows.length) return false;
  return growth.every((grows, place) => {
    const [own, other] = [rows[from + place]!, rows[from + length + place]!];
    if (keys[from + place] !== keys[from + length + place]) return false;
    return own.every((value, column) => other[column]! - value === grows[column]!);
  });
}
