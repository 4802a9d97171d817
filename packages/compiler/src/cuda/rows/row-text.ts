/**
 * A row program as text. The threads of a group share each row; every value along the row is computed where it is
 * wanted, from the loads up, a piece of `width` columns at a time. So a cut or a join of rows is a change of column,
 * nothing has to be kept between passes, and a row may be of any length: a reduction is one pass over its operand,
 * the stores are the last one. What is read twice is read from the cache.
 */
import { nvfp4Block } from "@weft/dsl";
import type {
  Access,
  Affine,
  Instruction,
  Loop,
  RowProgram,
  Slot,
  StoreInstruction,
} from "../../plan/types.ts";
import {
  affineText,
  type Code,
  constantOf,
  elementText,
  floatText,
  slotView,
  storageBytes,
  storageType,
} from "../code.ts";
import { type AccessInstruction, isAlignedTo, registerLengths, scalarRegisters } from "./row-shape.ts";

/** Where the threads of a row stand, and where values come from that are not in memory. */
export interface RowContext {
  readonly slots: readonly Slot[];
  /** Index of the first column that a thread takes, in pieces, and how many pieces lie between its columns. */
  readonly thread: string;
  readonly threads: string;
  /** An f32 expression that reduces a partial result over the threads. `reducer`: `Sum` or `Max`. */
  readonly reduce: (reducer: string, partial: string) => string;
  /** Waits for the other threads of the row. */
  readonly sync?: string;
  /** Columns of a piece: a divisor of every length, cut and alignment in the program (see `pieceWidth`). */
  readonly width: number;
  /** Pieces of the finished products; `column` counts within the row. */
  readonly accumulator?: (weight: number, column: string, width: number) => string;
  /** The i64 variable of each loop. */
  readonly loops: readonly string[];
}

const unaryText = (name: string) => `${name}_of`;
const binaryText = (name: string) => `${name.replace("lessEqual", "less_equal")}_of`;

export class RowText {
  readonly #code: Code;
  readonly #program: RowProgram;
  readonly #context: RowContext;
  readonly #scalar: readonly boolean[];
  readonly #lengths: readonly Affine[];

  constructor(code: Code, program: RowProgram, context: RowContext) {
    this.#code = code;
    this.#program = program;
    this.#context = context;
    this.#scalar = scalarRegisters(program);
    this.#lengths = registerLengths(program);
  }

  /** Computes what is one value for the whole row, reductions first of all, in the order of the program. */
  scalars(): void {
    this.#program.body.forEach((one, register) => {
      if (this.#scalar[register] && one.kind !== "store") this.#scalarValue(register);
    });
  }

  /** Writes all results, those of equal length in one pass. */
  stores(): void {
    const stores = this.#program.body.filter((one) => one.kind === "store");
    const single = stores.filter((one) => constantOf(one.length) === 1);
    if (single.length > 0) {
      const { sync } = this.#context;
      // Every thread has read what the first one may now write over: a value in place of the one it is made from.
      if (sync !== undefined) this.#code.line(`${sync};`);
      this.#code.block(`if (${this.#context.thread} == 0)`, () => {
        for (const one of single) {
          const type = this.#typeOf(one.access.slot);
          const value = this.#scalarValue(one.operand);
          this.#code.line(
            `store(${slotView(one.access.slot)}, ${this.#base(one.access)}, Narrow<${type}>::of(${value}));`,
          );
        }
      });
    }
    const long = stores.filter((one) => constantOf(one.length) !== 1);
    for (const length of new Set(long.map((one) => affineText(one.length)))) {
      this.pass(length, (column) => {
        // All values before the first of them is written: one may lie where another is read from.
        const together = long.filter((one) => affineText(one.length) === length);
        const values = together.map((one) => this.#valueToStore(one, column));
        together.forEach((one, index) => {
          this.#storePiece(one, column, values[index]!);
        });
      });
    }
  }

  /** The results of one column of a program that is column by column. */
  storesAt(column: string): void {
    for (const one of this.#program.body) {
      if (one.kind !== "store") continue;
      this.#storePiece(one, column, this.#valueToStore(one, column));
    }
  }

  /** A loop over the thread's pieces of a row of `length` columns. */
  pass(length: string, body: (column: string) => void): void {
    const { thread, threads, width } = this.#context;
    const column = this.#code.fresh("c");
    const step = width === 1 ? threads : `${threads} * ${width}`;
    const first = width === 1 ? thread : `${thread} * ${width}`;
    this.#code.block(`for (i64 ${column} = ${first}; ${column} < ${length}; ${column} += ${step})`, () => {
      body(column);
    });
  }

  /** A piece of a register at a column: a variable, computed now if it is not there. */
  piece(register: number, column: string): string {
    if (this.#scalar[register]) return this.#scalarValue(register);
    const key = `r${register}@${column}`;
    const present = this.#code.named(key);
    if (present !== undefined) return present;
    const name = this.#vectorValue(register, column);
    this.#code.name(key, name);
    return name;
  }

  /** The piece of a register, also where the register holds one value for the whole row. */
  spreadPiece(register: number, column: string): string {
    const value = this.piece(register, column);
    return this.#scalar[register] ? `spread<${this.#context.width}>(${value})` : value;
  }

  /** The base index of an access in its slot, for this row. */
  #base({ offset, strides }: Access): string {
    const parts = strides.flatMap((stride, loop) =>
      stride === 0
        ? []
        : [stride === 1 ? this.#context.loops[loop]! : `${stride}LL * ${this.#context.loops[loop]!}`],
    );
    const own = affineText(offset);
    if (own !== "0LL" || parts.length === 0) parts.push(own);
    return this.#code.constant("i64", "at", parts.join(" + "));
  }

  /** The place of the row's first element in its tensor. */
  #placeOf(strides: readonly number[]): string {
    const parts = strides.flatMap((stride, loop) =>
      stride === 0 ? [] : [`${stride}LL * ${this.#context.loops[loop]!}`],
    );
    return this.#code.constant("i64", "place", parts.join(" + ") || "0LL");
  }

  #streamOf(registers: readonly number[]): string {
    return `random_stream(${registers.map((register) => this.#scalarValue(register)).join(", ")})`;
  }

  #element(slot: number, at: string): string {
    return elementText(this.#context.slots[slot]!, slotView(slot), at);
  }

  #typeOf(slot: number): string {
    return storageType[this.#context.slots[slot]!.dtype];
  }

  #scalarValue(register: number): string {
    const key = `r${register}`;
    const present = this.#code.named(key);
    if (present !== undefined) return present;
    const name = this.#define(register, "float", this.#scalarText(register));
    this.#code.name(key, name);
    return name;
  }

  #define(register: number, type: string, value: string): string {
    const name = this.#code.fresh(`r${register}_`);
    this.#code.line(`const ${type} ${name} = ${value};`);
    return name;
  }

  #scalarText(register: number): string {
    const one = this.#program.body[register]!;
    const value = (of: number) => this.#scalarValue(of);
    switch (one.kind) {
      case "load":
        return this.#element(one.access.slot, this.#base(one.access));
      case "gather":
        return this.#element(one.access.slot, this.#gatherBase(one));
      case "constant":
        return constantText(one);
      case "index":
        return `static_cast<float>(${this.#indexText(one.loop, one.offset)})`;
      case "accumulator":
        return `${this.#accumulator(one.weight, "0", 1)}.at[0]`;
      case "reduce":
        return this.#reduction(one.function === "sum" ? "Sum" : "Max", one.operand);
      case "slice":
        return this.#elementText(one.operand, one.start);
      case "stochasticRound":
        return `stochastic_round(${value(one.operand)}, ${this.#placeOf(one.strides)}, ${this.#streamOf([one.keyLow, one.keyHigh, one.stream])})`;
      default:
        return this.#mapText(one, value);
    }
  }

  /** One element of a register that holds a row. */
  #elementText(register: number, column: number): string {
    const { width } = this.#context;
    const start = column - (column % width);
    return `${this.piece(register, `${start}LL`)}.at[${column % width}]`;
  }

  #reduction(reducer: string, operand: number): string {
    if (this.#scalar[operand]) return this.#scalarValue(operand);
    const partial = this.#code.fresh("partial");
    this.#code.line(`float ${partial} = ${reducer}::identity();`);
    this.pass(affineText(this.#lengths[operand]!), (column) => {
      const piece = this.piece(operand, column);
      this.#code.line(`${partial} = ${reducer}::join(${partial}, join_piece<${reducer}>(${piece}));`);
    });
    return this.#context.reduce(reducer, partial);
  }

  #gatherBase(one: Instruction & { kind: "gather" }): string {
    return `${this.#base(one.access)} + ${one.indexStride}LL * checked_index(args, ${this.#scalarValue(one.index)}, ${one.bound}LL)`;
  }

  #indexText(loop: number, offset: Affine): string {
    const own = affineText(offset);
    if (loop < 0) return own;
    return own === "0LL" ? this.#context.loops[loop]! : `${this.#context.loops[loop]!} + ${own}`;
  }

  #accumulator(weight: number, column: string, width: number): string {
    const { accumulator } = this.#context;
    if (accumulator === undefined) throw new Error("products are in epilogues only");
    return accumulator(weight, column, width);
  }

  #mapText(one: Instruction, value: (register: number) => string): string {
    switch (one.kind) {
      case "unary":
        return `${unaryText(one.function)}(${value(one.operand)})`;
      case "binary":
        return `${binaryText(one.function)}(${value(one.left)}, ${value(one.right)})`;
      case "select":
        return `select_of(${value(one.condition)}, ${value(one.then)}, ${value(one.otherwise)})`;
      case "round":
        return one.dtype === "f32"
          ? value(one.operand)
          : `round_of<${storageType[one.dtype]}>(${value(one.operand)})`;
      default:
        throw new Error(`${one.kind} must not be here`);
    }
  }

  #vectorValue(register: number, column: string): string {
    const { width } = this.#context;
    const one = this.#program.body[register]!;
    const type = `Piece<${width}>`;
    const define = (value: string) => this.#define(register, type, value);
    switch (one.kind) {
      case "load":
        return define(this.#loadPiece(one, this.#base(one.access), column));
      case "gather":
        return define(this.#loadPiece(one, this.#gatherBase(one), column));
      case "index":
        return define(`counting<${width}>(${column} + ${affineText(one.offset)})`);
      case "accumulator":
        return define(this.#accumulator(one.weight, column, width));
      case "slice":
        return this.piece(one.operand, shifted(column, one.start));
      case "concat":
        return this.#concat(register, one.operands, column);
      case "select": {
        const [condition, then, otherwise] = [one.condition, one.then, one.otherwise].map((of) =>
          this.piece(of, column),
        );
        return define(`select_of<${width}>(${condition}, ${then}, ${otherwise})`);
      }
      case "stochasticRound": {
        const place = `${this.#placeOf(one.strides)} + ${one.rowStride}LL * (${column})`;
        const value = this.piece(one.operand, column);
        return define(
          `stochastic_round<${one.rowStride}LL, ${width}>(${value}, ${place}, ${this.#streamOf([one.keyLow, one.keyHigh, one.stream])})`,
        );
      }
      case "quantizeNvfp4": {
        const block = this.#block(register, column);
        return define(
          `piece_of<${width}>(${block}, ${width === nvfp4Block ? 0 : `static_cast<i32>(${column} & 15)`})`,
        );
      }
      default:
        return define(this.#mapText(one, (of) => this.piece(of, column)));
    }
  }

  /** The block of a `quantizeNvfp4` register that a column lies in: a variable, encoded now if it is not there. */
  block(register: number, column: string): string {
    return this.#block(register, column);
  }

  /** The encoded block that a column lies in. Where cuts keep pieces shorter, each computes the whole block for itself. */
  #block(register: number, column: string): string {
    const one = this.#program.body[register]!;
    if (one.kind !== "quantizeNvfp4") throw new Error("blocks of nvfp4 are made by quantizeNvfp4");
    const { width } = this.#context;
    const first = width === nvfp4Block ? column : this.#code.constant("i64", "first", `${column} & ~15LL`);
    const key = `block${register}@${first}`;
    const present = this.#code.named(key);
    if (present !== undefined) return present;
    const values =
      width === nvfp4Block ? this.spreadPiece(one.operand, first) : this.#wholeBlock(one.operand, first);
    const coding = `Nvfp4Coding<${one.fourOverSix}, ${one.nonZero}, ${one.random.length > 0}>{}`;
    const given = [coding, values, this.#scalarValue(one.encodeScale)];
    let call = "quantize_block";
    if (one.random.length > 0) {
      const isWhole = one.rowStride === 1 && one.strides.every((stride) => stride % 8 === 0);
      call += `<${isWhole}, ${one.rowStride}LL>`;
      given.push(
        `${this.#placeOf(one.strides)} + ${one.rowStride}LL * (${first})`,
        this.#streamOf(one.random),
      );
    }
    const name = this.#define(register, "Nvfp4Block", `${call}(${given.join(", ")})`);
    this.#code.name(key, name);
    return name;
  }

  #wholeBlock(register: number, first: string): string {
    const { width } = this.#context;
    const name = this.#code.fresh("whole");
    this.#code.line(`Piece<${nvfp4Block}> ${name};`);
    for (let at = 0; at < nvfp4Block; at += width) {
      this.#code.line(`put_part<${at}>(${name}, ${this.spreadPiece(register, shifted(first, at))});`);
    }
    return name;
  }

  #loadPiece(one: AccessInstruction, base: string, column: string): string {
    const { width } = this.#context;
    const { access } = one;
    const slot = this.#context.slots[access.slot]!;
    const isBlocks = slot.dtype === "nvfp4";
    const view = slotView(access.slot);
    const type = isBlocks ? String(slot.rowLength) : storageType[slot.dtype];
    const isWhole = access.rowStride === 1 && isAlignedTo(isBlocks ? width : this.#vector(one), one);
    if (isWhole)
      return `${isBlocks ? "load_codes" : "load_piece"}<${type}, ${width}>(${view}, ${base} + ${column})`;
    const stride = `${access.rowStride}LL`;
    const load = isBlocks ? "load_codes_strided" : "load_strided";
    return `${load}<${type}, ${width}>(${view}, ${base} + ${stride} * (${column}), ${stride})`;
  }

  /** How many elements a piece in memory moves at once, where it may. */
  #vector({ access }: AccessInstruction): number {
    const { width } = this.#context;
    return Math.min(width, 16 / storageBytes(this.#context.slots[access.slot]!.dtype));
  }

  #valueToStore(one: StoreInstruction, column: string): string {
    const isBlocks = this.#context.slots[one.access.slot]!.dtype === "nvfp4";
    return isBlocks ? this.#block(one.operand, column) : this.spreadPiece(one.operand, column);
  }

  #storePiece(one: StoreInstruction, column: string, value: string): void {
    const { width } = this.#context;
    const { access } = one;
    const { dtype, rowLength } = this.#context.slots[access.slot]!;
    const view = slotView(access.slot);
    const base = this.#base(access);
    if (dtype === "nvfp4") {
      // Who has a block's first column stores it.
      const mine = width === nvfp4Block ? "" : `if ((${column} & 15) == 0) `;
      this.#code.line(`${mine}store_block<${rowLength}>(${view}, ${base} + ${column}, ${value});`);
    } else if (access.rowStride === 1 && isAlignedTo(this.#vector(one), one)) {
      this.#code.line(
        `store_piece<${storageType[dtype]}, ${width}>(${view}, ${base} + ${column}, ${value});`,
      );
    } else {
      const stride = `${access.rowStride}LL`;
      this.#code.line(
        `store_strided<${storageType[dtype]}, ${width}>(${view}, ${base} + ${stride} * (${column}), ${stride}, ${value});`,
      );
    }
  }

  /** Which operand a column belongs to is decided at run time; a piece never spans two. */
  #concat(register: number, operands: readonly number[], column: string): string {
    const name = this.#code.fresh(`r${register}_`);
    this.#code.line(`Piece<${this.#context.width}> ${name};`);
    let start = 0;
    operands.forEach((operand, index) => {
      const length = constantOf(this.#lengths[operand]!);
      if (length === undefined) throw new Error("rows that are joined must have constant lengths");
      const last = index === operands.length - 1;
      const head = last ? "else" : `${index === 0 ? "if" : "else if"} (${column} < ${start + length})`;
      const from = start;
      this.#code.block(operands.length === 1 ? "" : head, () => {
        this.#code.line(`${name} = ${this.spreadPiece(operand, shifted(column, -from))};`);
      });
      start += length;
    });
    return name;
  }
}

function shifted(column: string, by: number): string {
  if (by === 0) return column;
  return by > 0 ? `(${column} + ${by})` : `(${column} - ${-by})`;
}

function constantText(one: Instruction & { kind: "constant" }): string {
  const words = { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN };
  return floatText(one.special === "" ? one.value : words[one.special]);
}

/** Reads the loop indices of a row from its flat number: `i64` variables named by `names`. */
export function loopIndices(
  code: Code,
  loops: readonly Loop[],
  flat: string,
  names: readonly string[],
): void {
  let rest = flat;
  for (let loop = loops.length - 1; loop >= 0; loop--) {
    const extent = affineText(loops[loop]!.extent);
    if (loop === 0) code.line(`const i64 ${names[0]} = ${rest};`);
    else {
      code.line(`const i64 ${names[loop]} = ${rest} % ${extent};`);
      const next = code.fresh("rest");
      code.line(`const i64 ${next} = ${rest} / ${extent};`);
      rest = next;
    }
  }
}
