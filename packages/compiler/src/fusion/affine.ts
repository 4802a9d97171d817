/** Sums of symbols with integer factors: offsets and extents that are known only at run time. */
import type { Size } from "@weft/dsl";

export interface SymbolicSum {
  readonly constant: number;
  /** Factor by symbol name; no zeros. */
  readonly terms: ReadonlyMap<string, number>;
}

export const constantSum = (constant: number): SymbolicSum => ({ constant, terms: new Map() });

export function sumOf(size: Size): SymbolicSum {
  return typeof size === "number" ? constantSum(size) : { constant: 0, terms: new Map([[size.symbol, 1]]) };
}

export function addSums(a: SymbolicSum, b: SymbolicSum): SymbolicSum {
  const terms = new Map(a.terms);
  for (const [symbol, factor] of b.terms) {
    const total = (terms.get(symbol) ?? 0) + factor;
    if (total === 0) terms.delete(symbol);
    else terms.set(symbol, total);
  }
  return { constant: a.constant + b.constant, terms };
}

export function scaleSum(a: SymbolicSum, factor: number): SymbolicSum {
  if (factor === 0) return constantSum(0);
  return {
    constant: a.constant * factor,
    terms: new Map([...a.terms].map(([symbol, own]) => [symbol, own * factor])),
  };
}
