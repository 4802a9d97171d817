/** What can be wrong with a text in `->>` notation; types and values as for the combinators' sentences. */

const expected = <const What extends string, const Rest extends string>(what: What, rest: Rest) =>
  `wire: expected ${what} before '${rest}'` as const;
export type WireExpectedSentence<What extends string, Rest extends string> = ReturnType<
  typeof expected<What, Rest>
>;

const unknown = <const Name extends string>(name: Name) => `wire: no block is called ${name}` as const;
export type WireUnknownSentence<Name extends string> = ReturnType<typeof unknown<Name>>;

const one = <const Name extends string>(name: Name) => `wire: ${name} takes one block, without |` as const;
export type WireOneSentence<Name extends string> = ReturnType<typeof one<Name>>;

const times = <const Layers extends string, const Count extends string>(layers: Layers, count: Count) =>
  `wire: ${layers} must be followed by x${count}` as const;
export type WireTimesSentence<Layers extends string, Count extends string> = ReturnType<
  typeof times<Layers, Count>
>;

const layers = <const Layers extends string>(given: Layers) =>
  `wire: layers are listed as prefix[0..last], or go on where those before them end; ${given} does neither` as const;
export type WireLayersSentence<Layers extends string> = ReturnType<typeof layers<Layers>>;

export const wireSentences = { expected, unknown, one, times, layers };
