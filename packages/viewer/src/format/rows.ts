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
  const keys = keysOf(rows, fixed);
  const turns: Turns = { rows, keys, next: nextWithKey(keys), broken: new Map() };
  const packed: (Row | Repetition)[] = [];
  for (let start = 0; start < rows.length; ) {
    const found = longestRepetition(turns, start);
    packed.push(found ?? rows[start]!);
    start += found === undefined ? 1 : found.times * found.rows.length;
  }
  return packed;
}

interface Turns {
  readonly rows: readonly Row[];
  readonly keys: Int32Array;
  /** For each row the next one with its key; -1 behind the last. */
  readonly next: Int32Array;
  /**
   * For each length of a turn the last row found whose like is not in the two turns behind it. Until the start is behind
   * that row no turn of this length begins, and nothing has to be compared again: each row is looked at about once.
   */
  readonly broken: Map<number, number>;
}

/** A number for each row: equal where the names are, and as many numbers follow. */
function keysOf(rows: readonly Row[], fixed: number): Int32Array {
  const known = new Map<string, number>();
  return Int32Array.from(rows, (row) => {
    const text = `${row.length},${row.slice(0, fixed)}`;
    const key = known.get(text) ?? known.size;
    known.set(text, key);
    return key;
  });
}

function nextWithKey(keys: Int32Array): Int32Array {
  const next = new Int32Array(keys.length).fill(-1);
  const last = new Map<number, number>();
  for (let index = keys.length - 1; index >= 0; index--) {
    next[index] = last.get(keys[index]!) ?? -1;
    last.set(keys[index]!, index);
  }
  return next;
}

function longestRepetition(turns: Turns, start: number): Repetition | undefined {
  const { next } = turns;
  let best: { readonly length: number; readonly times: number } | undefined;
  let second = next[start]!;
  for (let tried = 0; tried < lengthsTried && second !== -1; tried++, second = next[second]!) {
    const length = second - start;
    if (length > longestTurn) break;
    // Whatever begins here, shorter turns that cover as much are shorter to store.
    if (best !== undefined && length % best.length === 0) continue;
    const times = timesAt(turns, start, length);
    if (times === 0) continue;
    if (best === undefined || times * length > best.times * best.length) best = { length, times };
  }
  if (best === undefined) return undefined;
  const { length, times } = best;
  const first = turns.rows.slice(start, start + length);
  const growth = first.map((row, place) =>
    row.map((value, column) => turns.rows[start + length + place]![column]! - value),
  );
  return { times, rows: first, growth };
}

/** How often a turn of this length is there from `start` on; 0 where that is too few times to be worth it. */
function timesAt(turns: Turns, start: number, length: number): number {
  const { rows, broken } = turns;
  if (start + leastTurns * length > rows.length) return 0;
  if ((broken.get(length) ?? -1) >= start) return 0;
  // All turns grow alike where each row does so with those in its place one and two turns behind it.
  const end = rows.length - 2 * length;
  let place = start;
  while (place < end && growsAlike(turns, place, length)) place++;
  const times = 2 + Math.floor((place - start) / length);
  if (times >= leastTurns) return times;
  broken.set(length, place);
  return 0;
}

function growsAlike({ rows, keys }: Turns, place: number, length: number): boolean {
  const [one, two, three] = [place, place + length, place + 2 * length];
  if (keys[one] !== keys[two] || keys[two] !== keys[three]) return false;
  const [a, b, c] = [rows[one]!, rows[two]!, rows[three]!];
  return a.every((value, column) => b[column]! - value === c[column]! - b[column]!);
}
