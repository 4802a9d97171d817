/** Token ids to measure with: all over the table, the same on every run. */
export function promptOf(count: number, vocabSize: number): number[] {
  return Array.from({ length: count }, (_, index) => (index * 7919 + 1) % vocabSize);
}
