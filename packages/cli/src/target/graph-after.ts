/** The graph of a compiled program as one of its passes left it. */
import type { CompiledProgram } from "@weft/compiler";
import { type Graph, nearestName } from "@weft/dsl";
import { refuse } from "../terminal/refuse.ts";

/**
 * @param option that named the pass
 * @param others graphs that are no pass's result, by the names that the option has for them
 */
export function graphAfter(
  { name, records }: CompiledProgram,
  pass: string,
  option: string,
  others: Readonly<Record<string, Graph>> = {},
): Graph {
  // A pass that runs twice is shown after its last run.
  const found = records.findLast((one) => one.pass === pass)?.after ?? others[pass];
  if (found !== undefined) return found;
  const passes = [...new Set([...Object.keys(others), ...records.map((one) => one.pass)])];
  const near = nearestName(pass, passes);
  return refuse(option, `must name a pass of ${name}: ${passes.join(", ")}`, {
    given: pass,
    ...(near === undefined ? {} : { remedy: `did you mean ${near}?` }),
  });
}
