/** Loss blocks: their wires, their values behind a model, and their mistakes as sentences. */

import { expandBlock, interpret } from "@weft/compiler";
import {
  type AnyBlock,
  type Axis,
  axis,
  type Block,
  chain,
  crossEntropy,
  first,
  formatProblem,
  type Ints,
  linear,
  mean,
  meanAbsoluteError,
  meanCrossEntropy,
  meanSquaredError,
  printBlock,
  type TensorArray,
  type WeftError,
} from "@weft/dsl";
import { assertClose } from "@weft/dsl/testing";
import { expectTypeOf } from "expect-type";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { i32, tensor } from "../../support/run-op.ts";

const test = suite("blocks: losses");

const seq = axis("seq", { symbol: "seq", max: 8 });
const hidden = axis("hidden", 2);
const vocab = axis("vocab", 3);

function run(
  block: AnyBlock,
  inputs: readonly TensorArray[],
  lead: readonly Axis[] = [axis("batch", 1)],
): TensorArray {
  const graph = expandBlock(block, { name: "loss", lead, outputName: "loss" });
  const named = new Map(inputs.map((array, at) => [`input.${at}`, array]));
  const parameters = () => tensor({ vocab: 3, hidden: 2 }, [1, 0, 0, 1, 1, 1]);
  return interpret(graph, { inputs: named, parameters }).get("loss")!;
}

test("the types say what is consumed", () => {
  expectTypeOf(mean(hidden)).toEqualTypeOf<Block<["hidden"], []>>();
  expectTypeOf(crossEntropy(vocab)).toEqualTypeOf<Block<[["vocab"], Ints<[]>], []>>();
  expectTypeOf(meanCrossEntropy(vocab, seq)).toEqualTypeOf<Block<[["seq", "vocab"], Ints<["seq"]>], []>>();
  expectTypeOf(meanSquaredError([seq, hidden])).toEqualTypeOf<
    Block<[["seq", "hidden"], ["seq", "hidden"]], []>
  >();
  expectTypeOf(meanAbsoluteError(hidden)).toEqualTypeOf<Block<[["hidden"], ["hidden"]], []>>();
});

test("a loss behind a model, the axes that it is over shown by the whole", () => {
  const head = linear("head", hidden, vocab);
  const loss = chain(first(head), meanCrossEntropy(vocab, seq));
  assert.is(printBlock(loss), "split(head | id) ->> meanCrossEntropy");
  const x = tensor({ batch: 1, seq: 2, hidden: 2 }, [1, 2, 3, 4]);
  const value = run(loss, [x, i32({ batch: 1, seq: 2 }, [2, -1])]);
  // Logits of the first position: 1, 2, 3.
  assertClose(value, tensor({ batch: 1 }, [Math.log(Math.exp(-2) + Math.exp(-1) + 1)]));
});

test("mean squared and mean absolute error, over a symbolic axis too", () => {
  const x = tensor({ batch: 1, seq: 2, hidden: 2 }, [1, 2, 3, 4]);
  const y = tensor({ batch: 1, seq: 2, hidden: 2 }, [0, 4, 3, -1]);
  assert.equal(run(meanSquaredError([seq, hidden]), [x, y]), tensor({ batch: 1 }, [30 / 4]));
  assert.equal(run(meanAbsoluteError([seq, hidden]), [x, y]), tensor({ batch: 1 }, [8 / 4]));
  assert.equal(
    run(meanAbsoluteError(hidden), [x, y], [axis("batch", 1), seq]),
    tensor({ batch: 1, seq: 2 }, [1.5, 2.5]),
  );
});

test("a mean over nothing, or over one axis twice, is a sentence", () => {
  const complaint = (build: () => unknown): string => {
    try {
      build();
    } catch (error) {
      return (error as WeftError).problems
        .map((one) => formatProblem({ ...one, location: undefined }))
        .join("\n");
    }
    throw new Error("nothing was thrown");
  };
  const sentence = (source: string, given: string) =>
    `[${source}] the mean needs one or more axes, each once; given ${given}`;
  assert.is(
    complaint(() => meanSquaredError([])),
    sentence("meanSquaredError", "none"),
  );
  assert.is(
    complaint(() => meanAbsoluteError([seq, seq])),
    sentence("meanAbsoluteError", "seq, seq"),
  );
  assert.is(
    complaint(() => meanCrossEntropy(vocab, [])),
    sentence("meanCrossEntropy", "none"),
  );
});

test.run();
