/**
 * Every mistake in putting blocks together has one sentence. The compiler shows it as the type of the parameter that
 * does not fit, and the same function writes it when the block is built: the types below are read off the functions.
 */

const chainSentence = <const Left extends string, const Right extends string>(left: Left, right: Right) =>
  `chain: left side produces ${left}, right side expects ${right}` as const;
export type ChainSentence<Left extends string, Right extends string> = ReturnType<
  typeof chainSentence<Left, Right>
>;

const parallelSentence = <const Before extends string, const Branch extends string>(
  before: Before,
  branch: Branch,
) => `parallel: the branches before expect ${before}, this branch expects ${branch}` as const;
export type ParallelSentence<Before extends string, Branch extends string> = ReturnType<
  typeof parallelSentence<Before, Branch>
>;

const mergeInputSentence = <const Given extends string>(given: Given) =>
  `merge: the block must take a tuple of wires, this one takes ${given}` as const;
export type MergeInputSentence<Given extends string> = ReturnType<typeof mergeInputSentence<Given>>;

const mergeOutputSentence = <const Given extends string>(given: Given) =>
  `merge: the block must give one wire, this one gives ${given}` as const;
export type MergeOutputSentence<Given extends string> = ReturnType<typeof mergeOutputSentence<Given>>;

const residualSentence = <const Input extends string, const Output extends string>(
  input: Input,
  output: Output,
) => `residual: the block must give what it takes, this one takes ${input} and gives ${output}` as const;
export type ResidualSentence<Input extends string, Output extends string> = ReturnType<
  typeof residualSentence<Input, Output>
>;

const residualKindSentence = <const Given extends string>(given: Given) =>
  `residual: the block must take one float tensor, this one takes ${given}` as const;
export type ResidualKindSentence<Given extends string> = ReturnType<typeof residualKindSentence<Given>>;

const repeatSentence = <const Input extends string, const Output extends string>(
  input: Input,
  output: Output,
) => `repeat: the block must give what it takes, this one takes ${input} and gives ${output}` as const;
export type RepeatSentence<Input extends string, Output extends string> = ReturnType<
  typeof repeatSentence<Input, Output>
>;

const applySentence = <const Value extends string, const Block extends string>(value: Value, block: Block) =>
  `apply: the value is ${value}, the block expects ${block}` as const;
export type ApplySentence<Value extends string, Block extends string> = ReturnType<
  typeof applySentence<Value, Block>
>;

export const sentences = {
  chain: chainSentence,
  parallel: parallelSentence,
  mergeInput: mergeInputSentence,
  mergeOutput: mergeOutputSentence,
  residual: residualSentence,
  residualKind: residualKindSentence,
  repeat: repeatSentence,
  apply: applySentence,
};
