/** What an independent implementation computes from the fixtures; see test/fixtures/README.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fixtures } from "../support/models.ts";

export interface Oracle {
  readonly tokens: readonly number[];
  readonly greedy: readonly number[];
  readonly logits: readonly (readonly number[])[];
  /** `l_out-N`: behind layer N; `ffn_inp-N`: behind its attention; `result_norm`: behind the final norm. */
  readonly states: Readonly<Record<string, readonly (readonly number[])[]>>;
}

export const oracleNames = ["tiny", "tiny-tied"] as const;

export function oracleOf(name: (typeof oracleNames)[number]): Oracle & { readonly directory: string } {
  const directory = join(fixtures, name);
  return { directory, ...(JSON.parse(readFileSync(join(directory, "oracle.json"), "utf8")) as Oracle) };
}
