import { Command, Option } from "commander";
import {
  deviceOption,
  gpuLimitOption,
  integer,
  jsonOption,
  most,
  positive,
  real,
  threadsOption,
} from "./options.ts";
import { type TrainingPlanFlags, trainingDefaults, trainingOption } from "./training-options.ts";

export interface TrainFlags extends TrainingPlanFlags {
  readonly config?: string;
  readonly trainTokenizer?: number;
  readonly tokenizer?: string;
  readonly data?: readonly string[];
  readonly format: "auto" | "text" | "jsonl" | "tsv";
  readonly textUnit?: "file" | "paragraph" | "line";
  readonly packing: "documents" | "concatenate";
  readonly longDocuments?: "error" | "split";
  readonly skipBad?: boolean;
  readonly out?: string;
  readonly steps?: number;
  readonly epochs?: number;
  readonly lr: number;
  readonly schedule: "cosine" | "linear" | "constant";
  readonly warmup: number;
  readonly momentum?: number;
  readonly export?: "plain" | "compressed-tensors" | "modelopt";
  readonly weightDecay: number;
  readonly maxNorm: number;
  readonly adapterOnly?: boolean;
  readonly seed: number;
  readonly evalShare: number;
  readonly evalEvery?: number;
  readonly sampleEvery?: number;
  readonly samplePrompt?: string;
  readonly saveEvery?: number;
  readonly keep: number;
  readonly resume?: boolean;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  readonly gpuLimitGb?: number;
  readonly threads?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const examples = `
MODEL is a checkpoint to go on from. Without it, a model of --config learns from nothing, with a tokenizer of its own or
that of another directory.

OUT holds metrics.jsonl, curves.svg, memory.json, checkpoints/ and, at the end, model/: a Hugging Face directory in the
dtype that config.json names. Ctrl-C saves a checkpoint and ends; the same command with --resume goes on.

With --lora the weights stay and adapters beside them learn; model/ has them merged into the weights, which keep their
dtype. --adapter-only writes adapter/ in its place, which weft merge, weft chat --adapter and PEFT read.

With --quantize nvfp4 the linears of the layers are read in 4.5 bits while they learn, in evaluation and samples too, and
model/ has the very blocks that were trained. The weights that updates are added to stay in --weights, and checkpoints/ have
them. A MODEL that is in NVFP4 already learns so without the option: its weights begin with the values of its blocks.

With --lora and a MODEL in NVFP4, or with --quantize, the weights that stay take 4.5 bits and have no other copy. model/ is
plain then; --export compressed-tensors encodes the merged weights again.

Examples:
  $ weft train models/Qwen3-0.6B --data chats.jsonl --out runs/chats --epochs 2 --lr 1e-5
  $ weft train --config config.json --train-tokenizer 4096 --data book.txt --out runs/book --steps 1000
  $ weft train models/Qwen3-4B --data chats.jsonl --out runs/chats --steps 100 --last-layers 4 --dry-run
  $ weft train models/Qwen3-4B --data chats.jsonl --out runs/chats --lora 16 --lora-targets q_proj,v_proj
  $ weft train models/Qwen3-0.6B --data chats.jsonl --out runs/small --weights bf16 --quantize nvfp4 --four-over-six
  $ weft train models/Qwen3-4B --data chats.jsonl --out runs/large --weights bf16 --quantize nvfp4 --moments int8
  $ weft train models/Qwen3-4B --data chats.jsonl --out runs/four-bits --lora 16 --quantize nvfp4`;

export function trainCommand(): Command {
  const count = integer(1, most);
  return new Command("train")
    .description("train a model from nothing, or go on from a checkpoint")
    .argument("[MODEL]", "directory of a checkpoint")
    .addOption(new Option("--config <FILE>", "config.json of a model that learns from nothing"))
    .addOption(
      new Option("--train-tokenizer <VOCAB>", "learn a tokenizer of so many tokens from the data").argParser(
        count,
      ),
    )
    .addOption(new Option("--tokenizer <DIR>", "directory with the tokenizer of a model of --config"))
    .addOption(new Option("--data <FILE...>", "text, JSONL with text or messages, or TSV prompt and target"))
    .addOption(
      new Option("--format <FORMAT>", "format of the data; auto: by the file's ending")
        .choices(["auto", "text", "jsonl", "tsv"])
        .default("auto"),
    )
    .addOption(
      new Option("--text-unit <UNIT>", "one document of a text (default: file)").choices([
        "file",
        "paragraph",
        "line",
      ]),
    )
    .addOption(
      new Option(
        "--packing <WAY>",
        "each document by itself, with padding, or all as one text that is cut at each sequence",
      )
        .choices(["documents", "concatenate"])
        .default("documents"),
    )
    .addOption(
      new Option(
        "--long-documents <WAY>",
        "longer than the sequence (default: split where all data is text, else error)",
      ).choices(["error", "split"]),
    )
    .addOption(new Option("--skip-bad", "leave out documents that cannot be read, and count them"))
    .addOption(new Option("--out <DIR>", "directory of the run"))
    .addOption(new Option("--steps <N>", "updates in all").argParser(count))
    .addOption(new Option("--epochs <N>", "passes over the data (default: 1)").argParser(positive))
    .addOption(trainingOption.sequence())
    .addOption(trainingOption.batch().default(trainingDefaults.batch))
    .addOption(trainingOption.accumulate().default(trainingDefaults.accumulate))
    .addOption(new Option("--lr <RATE>", "largest learning rate").argParser(positive).default(3e-4))
    .addOption(
      new Option("--schedule <SHAPE>", "of the learning rate")
        .choices(["cosine", "linear", "constant"])
        .default("cosine"),
    )
    .addOption(
      new Option("--warmup <N>", "updates until the largest rate").argParser(integer(0, most)).default(0),
    )
    .addOption(trainingOption.optimizer().default(trainingDefaults.optimizer))
    .addOption(new Option("--momentum <X>", "of sgd (default: 0.9)").argParser(real))
    .addOption(trainingOption.moments().default(trainingDefaults.moments))
    .addOption(trainingOption.weights().default(trainingDefaults.weights))
    .addOption(
      new Option(
        "--quantize <FORMAT>",
        "products read the linears of the layers in it; every update remakes them from the trained weights",
      ).choices(["nvfp4"]),
    )
    .addOption(trainingOption.fourOverSix())
    .addOption(
      new Option(
        "--export <FORMAT>",
        "how the model is written (default: plain; compressed-tensors where weights learn in NVFP4)",
      ).choices(["plain", "compressed-tensors", "modelopt"]),
    )
    .addOption(
      new Option("--weight-decay <X>", "of matrices; norms and biases have none")
        .argParser(real)
        .default(0.01),
    )
    .addOption(
      new Option("--max-norm <X>", "gradients of a larger norm are scaled down")
        .argParser(positive)
        .default(1),
    )
    .addOption(trainingOption.lastLayers())
    .addOption(trainingOption.lora())
    .addOption(trainingOption.loraAlpha())
    .addOption(trainingOption.loraTargets())
    .addOption(
      new Option("--adapter-only", "write the adapters as PEFT has them in place of the merged model"),
    )
    .addOption(
      new Option("--seed <N>", "of weights, order and rounding")
        .argParser(integer(0, 2 ** 53 - 1))
        .default(0),
    )
    .addOption(
      new Option("--eval-share <X>", "share of the documents that is held out").argParser(real).default(0),
    )
    .addOption(
      new Option("--eval-every <N>", "updates between two evaluations (default: a tenth)").argParser(count),
    )
    .addOption(
      new Option("--sample-every <N>", "updates between two continuations of --sample-prompt").argParser(
        count,
      ),
    )
    .addOption(new Option("--sample-prompt <TEXT>", "text that the model continues, greedily"))
    .addOption(
      new Option("--save-every <N>", "updates between two checkpoints (default: a tenth)").argParser(count),
    )
    .addOption(new Option("--keep <N>", "newest checkpoints that are kept").argParser(count).default(3))
    .addOption(new Option("--resume", "go on from the newest whole checkpoint of OUT"))
    .addOption(trainingOption.recompute())
    .addOption(trainingOption.activationBudget())
    .addOption(
      new Option("--dtype <TYPE>", "what products compute in")
        .choices(["f32", "bf16"])
        .default(trainingDefaults.dtype),
    )
    .addOption(deviceOption())
    .addOption(gpuLimitOption())
    .addOption(threadsOption())
    .addOption(new Option("--dry-run", "print the memory that training takes, and allocate nothing"))
    .addOption(jsonOption("the result"))
    .addHelpText("after", examples)
    .action(async (model: string | undefined, options: TrainFlags) => {
      const { train } = await import("../actions/train.ts");
      await train(model, options);
    });
}
