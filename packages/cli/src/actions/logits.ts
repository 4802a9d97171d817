/** `weft logits`: what a model says at every position, for comparison with other implementations. */
import { orThrow } from "@weft/dsl";
import {
  checkTokenIds,
  type LogitsMode,
  type LogitsResult,
  logitsOf,
  logitsOpenOptions,
  readQwen3Config,
} from "@weft/qwen3";
import type { LogitsOptions } from "../commands/logits.ts";
import type { Mode } from "../commands/options.ts";
import { openModel } from "../model/open.ts";
import { spellNumber } from "../terminal/numbers.ts";
import { print, write } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";
import { formatTable } from "../terminal/table.ts";

export async function logits(directory: string, options: LogitsOptions): Promise<void> {
  const { tokens, hidden = false } = options;
  if (tokens === undefined) {
    refuse("logits", "needs token ids", { remedy: "give --tokens, like --tokens 1,2,3" });
  }
  // What is wrong with the tokens is said before gigabytes are loaded.
  const config = orThrow(readQwen3Config(directory));
  orThrow(checkTokenIds(tokens, config.vocabSize, "--tokens"));
  if (tokens.length > config.maxPositions) {
    refuse("--tokens", `must fit into the ${config.maxPositions} positions of the model`, {
      given: `${tokens.length} tokens`,
      remedy: "give fewer tokens",
    });
  }
  const mode = modeOf(options.mode);
  const needs = logitsOpenOptions(tokens.length, mode, hidden ? config.layers : 0);
  const { logits: which, observe, capacity, chunk } = needs;
  using model = await openModel(
    directory,
    { ...options, ...(capacity === undefined ? {} : { capacity }), chunk },
    { logits: which, observe },
  );
  const result = await logitsOf(model, tokens, { mode, hidden });
  if (options.json === true) await writeJson(result, hidden);
  else await print(likeliest(result));
}

function modeOf(mode: Mode): LogitsMode {
  return mode.kind === "chunk" ? { chunk: mode.size } : mode.kind;
}

/** Row by row: the whole of a large vocabulary would not fit into one string. */
async function writeJson({ tokens, logits, hidden }: LogitsResult, withHidden: boolean): Promise<void> {
  await write(`{"tokens":${JSON.stringify(tokens)},"logits":[`);
  await writeRows(logits);
  await write("]");
  if (withHidden) {
    await write(',"hidden":{');
    for (const [index, [path, rows]] of Object.entries(hidden).entries()) {
      await write(`${index === 0 ? "" : ","}${JSON.stringify(path)}:[`);
      await writeRows(rows);
      await write("]");
    }
    await write("}");
  }
  await write("}\n");
}

async function writeRows(rows: readonly Float32Array[]): Promise<void> {
  for (const [index, row] of rows.entries()) {
    await write(`${index === 0 ? "" : ",\n"}[${Array.from(row, spellNumber).join(",")}]`);
  }
}

const shown = 5;

/** The tokens with the largest logits, position by position. */
function likeliest({ tokens, logits }: LogitsResult): string {
  const rows = tokens.map((token, position) => {
    const row = logits[position]!;
    const best = Array.from(row.keys())
      .sort((a, b) => row[b]! - row[a]!)
      .slice(0, shown);
    return [String(position), String(token), best.map((id) => `${id} (${row[id]!.toFixed(3)})`).join("  ")];
  });
  return formatTable(
    [{ title: "position", align: "right" }, { title: "token", align: "right" }, { title: "largest logits" }],
    rows,
  );
}
