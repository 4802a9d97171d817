/** `weft generate`: continue a text. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type GenerationSummary, generate as generateText, type Qwen3 } from "@weft/qwen3";
import type { GenerateOptions } from "../commands/generate.ts";
import { openModel, samplingOf } from "../model/open.ts";
import { formatTiming, timingOf } from "../model/timing.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print, printJson, remark, write } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import { refuse } from "../terminal/refuse.ts";

export async function generate(directory: string, options: GenerateOptions): Promise<void> {
  const { prompt, tokens } = options;
  const given = prompt ?? tokens;
  if (given === undefined) {
    refuse("generate", "needs something to continue", { remedy: "give --prompt TEXT or --tokens IDS" });
  }
  if (options.stream === true && options.json === true) {
    refuse("generate", "--json prints the whole result at once", {
      given: "--stream",
      remedy: "leave one out",
    });
  }
  using _order = stopsInOrder();
  // Token ids alone can be continued without a tokenizer; only the text is then missing.
  const text = prompt !== undefined || existsSync(join(directory, "tokenizer.json"));
  using model = await openModel(directory, options, { withTokenizer: text });
  const generation = generateText(model, given, {
    ...samplingOf(options),
    maxTokens: options.maxTokens,
    stop: options.stop,
    ignoreEos: options.ignoreEos,
    clip: options.clip,
    text,
    signal: interruption,
    onPrefill: prefillProgress(),
  });
  for await (const piece of generation) {
    if (options.stream === true) await write(text ? piece.text : `${piece.token} `);
  }
  await report(model, generation.summary!, text, options);
}

function prefillProgress(): (done: number, total: number) => void {
  const progress = new Progress();
  return (done, total) => {
    if (done >= total) progress.clear();
    else progress.update("reading the prompt", done, total);
  };
}

async function report(
  model: Qwen3,
  summary: GenerationSummary,
  text: boolean,
  options: GenerateOptions,
): Promise<void> {
  const timing = timingOf(summary.timing, model);
  if (options.json === true) {
    await printJson({
      text: text ? summary.text : null,
      tokens: summary.tokens,
      finishReason: summary.finish,
      promptTokens: summary.promptTokens.length,
      timing,
    });
  } else if (options.stream === true) await print("");
  else await print(text ? summary.text : summary.tokens.join(","));
  if (options.timing === true) remark(formatTiming(timing));
}
