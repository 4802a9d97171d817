/**
 * A permutation that is computed place by place: no list is kept, and the order of an epoch needs nothing of the one
 * before it, so any place of any epoch can be resumed at.
 *
 * A Feistel network over the next even number of bits, its round function Philox; places that fall outside are walked
 * on (Black and Rogaway: Ciphers with arbitrary finite domains, CT-RSA 2002).
 */
import { philox } from "@weft/dsl";

const rounds = 4;

/** Tells this use of the seed from sampling's and the optimizer's. */
const stream = 0x5eed_da7a;

/**
 * The document that stands at a place of an epoch's order.
 *
 * @param place integer from 0 to size - 1
 * @param size number of documents, below 2^32
 * @param seed integer from 0 to 2^53 - 1
 */
export function shuffledPlace(place: number, size: number, seed: number, epoch: number): number {
  let bits = 1;
  while (4 ** bits < size) bits++;
  const mask = 2 ** bits - 1;
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  let value = place;
  do {
    let [left, right] = [Math.floor(value / 2 ** bits), value & mask];
    for (let round = 0; round < rounds; round++) {
      const mixed = philox([right, round, epoch >>> 0, stream], key)[0] & mask;
      [left, right] = [right, (left ^ mixed) & mask];
    }
    value = left * 2 ** bits + right;
  } while (value >= size);
  return value;
}
