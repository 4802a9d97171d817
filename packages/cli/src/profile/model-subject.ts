/** A checkpoint's model: a prefill on an empty cache, and a decode step behind so many tokens. */
import { drawInput } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { drawLikeliest, type Qwen3, type Qwen3Config, resolveOpenOptions } from "@weft/qwen3";
import type { InputArray } from "@weft/runtime";
import type { ProfileOptions } from "../commands/profile.ts";
import { openModel } from "../model/open.ts";
import { promptOf } from "../model/prompt.ts";
import { checkProgram } from "../target/check-program.ts";
import { refuseOption } from "../target/compile-target.ts";
import type { ModelTarget } from "../target/model-target.ts";
import { refuse } from "../terminal/refuse.ts";
import type { ProfiledProgram, Subject } from "./subject.ts";

const usualPrompt = 128;

export async function openModelSubject(
  { path, directory, config }: ModelTarget,
  options: ProfileOptions,
): Promise<Subject> {
  if (directory === undefined)
    refuse("TARGET", "must be a model with weights", {
      given: path,
      remedy: "give the model's directory, or add --train, which begins with random ones",
    });
  refuseOption("--lead", options.lead, "a model leads with seq; its size is --prompt-tokens");
  refuseOption("--sequence", options.sequence, "it goes with --train; of a prefill it is --prompt-tokens");
  if (options.out !== undefined)
    refuseOption(
      "--adapter",
      options.adapter,
      "weft inspect, which reads --out, shows models without adapters",
    );
  checkProgram(options.program, ["prefill", "decode"]);
  const { prompt, past } = lengthsOf(options, config);
  const model = await openModel(directory, options);
  const programs = [
    programOf(model, "prefill", promptOf(prompt, config.vocabSize), 0),
    programOf(model, "decode", promptOf(1, config.vocabSize), past),
  ];
  return {
    executable: model.executable,
    programs: programs.filter(({ name }) => options.program === undefined || name === options.program),
    [Symbol.dispose]: () => model[Symbol.dispose](),
  };
}

/** Tokens to prefill, and those in front of the one that is decoded; refused before weights are loaded. */
function lengthsOf(
  options: ProfileOptions,
  config: Qwen3Config,
): { readonly prompt: number; readonly past: number } {
  const { capacity, chunk } = orThrow(resolveOpenOptions(options, config));
  const prompt = options.promptTokens ?? Math.min(usualPrompt, chunk);
  if (prompt > chunk)
    refuse("--prompt-tokens", `must be at most ${chunk}, the chunk of one prefill step`, {
      given: String(prompt),
      remedy: chunk < capacity ? "raise it with --chunk" : "raise it with --capacity",
    });
  const past = options.position ?? Math.min(prompt, capacity - 1);
  if (past >= capacity)
    refuse("--position", `must be below ${capacity}, the capacity of the KV cache`, {
      given: String(past),
      remedy: "raise it with --capacity",
    });
  return { prompt, past };
}

function programOf({ plan }: Qwen3, name: string, tokens: readonly number[], past: number): ProfiledProgram {
  const given: Readonly<Record<string, number>> = { seq: tokens.length, past };
  const symbols = plan.symbols.filter(({ sum }) => sum.length === 0);
  const inputs: Record<string, InputArray> = { tokens: Int32Array.from(tokens) };
  // On a GPU a step ends with the token that follows.
  if (plan.programs.some((one) => one.name === name && one.inputs.some((port) => port.name === drawInput)))
    inputs[drawInput] = drawLikeliest;
  return {
    name,
    symbols: Object.fromEntries(symbols.map((one) => [one.name, given[one.name] ?? 0])),
    inputs,
  };
}
