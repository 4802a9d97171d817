/** The values that adapters begin with. */
import { maxSize, philox, streamOf } from "@weft/dsl";
import type { DataWeight } from "@weft/runtime";
import { type Adapter, adapterParameters } from "./adapter.ts";

/**
 * As PEFT begins: B is 0, so that the model is the base's; A is Kaiming uniform with a = sqrt(5) (He et al. 2015), which
 * is uniform in [-1 / sqrt(in), 1 / sqrt(in)). The numbers of an A depend on the seed, its name and its size only.
 * @param seed an integer from 0 to 2^53 - 1
 */
export function initialAdapter(adapter: Adapter, seed: number): (name: string) => DataWeight | undefined {
  const parameters = new Map(adapterParameters(adapter).map((one) => [one.name, one.axes]));
  return (name) => {
    const axes = parameters.get(name);
    if (axes === undefined) return undefined;
    const shape = axes.map(({ size }) => maxSize(size));
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    if (name.endsWith(".lora_A.weight")) fillUniform(data, Math.sqrt(shape[0]! / data.length), name, seed);
    return { kind: "data", data, dtype: "f32", shape };
  };
}

/** Over the counters 0, 1, 2, ... of the stream that the name is hashed to. */
function fillUniform(data: Float32Array, bound: number, name: string, seed: number): void {
  const key = [seed >>> 0, Math.floor(seed / 2 ** 32)] as const;
  const stream = streamOf(name);
  for (let at = 0; at < data.length; at += 4) {
    const words = philox([at / 4, 0, stream, 0], key);
    for (let word = 0; word < 4; word++) data[at + word] = bound * (words[word]! / 2 ** 31 - 1);
  }
}
