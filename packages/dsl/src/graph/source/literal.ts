/** Values as TypeScript spells them. Strings are escaped as in JSON, so no name can end the literal that it stands in. */
import type { Axis } from "../../axis.ts";
import { isRecord } from "../check.ts";
import type { AttributeValue } from "../types.ts";

/** How the parts of a literal are spelled where there is more than one way. */
export interface LiteralSpelling {
  readonly text: (text: string) => string;
  readonly axis: (axis: Axis) => string;
}

export function printLiteral(value: AttributeValue, spelling: LiteralSpelling): string {
  if (typeof value === "string") return spelling.text(value);
  if (typeof value === "number") return numberLiteral(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (isList(value)) return `[${value.map((one) => printLiteral(one, spelling)).join(", ")}]`;
  if (isAxis(value)) return spelling.axis(value);
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  if (entries.length === 0) return "{}";
  return `{ ${entries.map(([key, one]) => `${propertyName(key)}: ${printLiteral(one, spelling)}`).join(", ")} }`;
}

export function numberLiteral(value: number): string {
  if (Object.is(value, -0)) return "-0";
  if (Number.isFinite(value)) return String(value);
  if (Number.isNaN(value)) return "Number.NaN";
  return value < 0 ? "Number.NEGATIVE_INFINITY" : "Number.POSITIVE_INFINITY";
}

/** Text in double quotes. JSON's escapes are JavaScript's, lone surrogates included. */
export const textLiteral = (text: string): string => JSON.stringify(text);

/** Text in which `start` is followed by the value of a variable: `model.layers.${layer}.mlp`. */
export function templateLiteral(start: string, variable: string, rest: string): string {
  return `\`${templatePart(start)}\${${variable}}${templatePart(rest)}\``;
}

const templatePart = (text: string) =>
  JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("`", "\\`").replaceAll("${", "\\${");

/** Words that must not name a variable of a module. */
const reserved: ReadonlySet<string> = new Set(
  `abstract arguments as async await boolean break case catch class const constructor continue debugger declare default
  delete do else enum eval export extends false finally for from function get if implements import in infer instanceof
  interface is keyof let module namespace never new null number object of package private protected public readonly
  require return set static string super switch symbol this throw true try type typeof undefined unique unknown var void
  while with yield any bigint globalThis Infinity NaN Number Object Array String`.split(/\s+/),
);

/** Names for the variables of one module, each given once. */
export class VariableNames {
  readonly #taken: Set<string>;
  /** The next number to try behind a word: of a hundred thousand nodes of one op, each has its own. */
  readonly #next = new Map<string, number>();

  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken);
  }

  /** The first of the wishes that is free, or the last one with a number behind it. */
  take(...wishes: readonly string[]): string {
    const words = wishes.map(identifier);
    const free = words.find((word) => !this.#isTaken(word));
    const name = free ?? this.#numbered(words.at(-1)!);
    this.#taken.add(name);
    return name;
  }

  #isTaken(name: string): boolean {
    return this.#taken.has(name) || reserved.has(name);
  }

  #numbered(word: string): string {
    const stem = /\d$/.test(word) ? `${word}_` : word;
    let count = this.#next.get(word) ?? 2;
    while (this.#isTaken(`${stem}${count}`)) count++;
    this.#next.set(word, count + 1);
    return `${stem}${count}`;
  }
}

/** `self_attn.q_proj` as `selfAttnQProj`; what no identifier may have is left out. */
function identifier(text: string): string {
  const words = text.match(/[A-Za-z0-9]+/g) ?? [];
  const joined = words
    .map((word, index) => (index === 0 ? word[0]!.toLowerCase() : word[0]!.toUpperCase()) + word.slice(1))
    .join("");
  return /^[A-Za-z]/.test(joined) ? joined : `value${joined}`;
}

const propertyName = (key: string) =>
  /^[A-Za-z_]\w*$/.test(key) && key !== "__proto__" ? key : `[${textLiteral(key)}]`;

function isList(value: AttributeValue): value is readonly AttributeValue[] {
  return Array.isArray(value);
}

/** Whether a value is an axis and nothing else, as attributes hold it. */
export function isAxis(value: unknown): value is Axis {
  if (!isRecord(value) || Object.keys(value).length !== 2 || typeof value.name !== "string") return false;
  const { size } = value;
  if (typeof size === "number") return true;
  return (
    isRecord(size) &&
    Object.keys(size).length === 2 &&
    typeof size.symbol === "string" &&
    typeof size.max === "number"
  );
}
