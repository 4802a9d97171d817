/** `dot` with contiguous inner loops. It adds in the same order as the op's reference, so the bits are the same. */
import { elementCount, forEachIndex, stridesOf, type TensorArray } from "@weft/dsl";

type Axes = TensorArray["axes"];

/**
 * Contracts two arrays over named axes.
 * Both sides are brought to rows [batch, own axes, contracted axes] (a weight as checkpoints store it already is), then
 * every pair of rows is one contiguous product.
 */
export function dotArrays(a: TensorArray, b: TensorArray, contract: readonly string[]): TensorArray {
  const inB = new Set(b.axes.map((one) => one.name));
  const keptA = a.axes.filter((one) => !contract.includes(one.name));
  const names = new Set(keptA.map((one) => one.name));
  const batch = keptA.filter((one) => inB.has(one.name));
  const ownA = keptA.filter((one) => !inB.has(one.name));
  const ownB = b.axes.filter((one) => !contract.includes(one.name) && !names.has(one.name));
  const contracted = contract.map((name) => a.axes.find((one) => one.name === name)!);

  const axes = [...keptA, ...ownB];
  const strides = stridesOf(axes);
  const batchPlaces = placesOf(batch, strides);
  const rowPlaces = placesOf(ownA, strides);
  const columnPlaces = placesOf(ownB, strides);
  const rows = inOrder(a, [...batch, ...ownA, ...contracted]);
  const columns = inOrder(b, [...batch, ...ownB, ...contracted]);

  const length = elementCount(contracted);
  const data = new Float64Array(elementCount(axes));
  let rowStart = 0;
  for (let group = 0; group < batchPlaces.length; group++) {
    const columnBase = group * columnPlaces.length * length;
    for (let row = 0; row < rowPlaces.length; row++) {
      const place = batchPlaces[group]! + rowPlaces[row]!;
      let columnStart = columnBase;
      for (let column = 0; column < columnPlaces.length; column++) {
        let sum = 0;
        for (let k = 0; k < length; k++) sum += rows[rowStart + k]! * columns[columnStart + k]!;
        data[place + columnPlaces[column]!] = sum;
        columnStart += length;
      }
      rowStart += length;
    }
  }
  return { dtype: "f32", axes, data };
}

/** The offset of every index of `axes`, in C order. */
function placesOf(axes: Axes, strides: ReadonlyMap<string, number>): Int32Array {
  const places = new Int32Array(elementCount(axes));
  forEachIndex(axes, [strides], ([offset], place) => {
    places[place] = offset!;
  });
  return places;
}

/** The data with its axes in the given order; the array's own data where they already are. */
function inOrder(array: TensorArray, axes: Axes): Float64Array {
  // Axes of size 1 do not move anything.
  const wide = (list: Axes) => list.filter((one) => one.size !== 1).map((one) => one.name);
  if (wide(array.axes).join() === wide(axes).join()) return array.data;
  const data = new Float64Array(array.data.length);
  forEachIndex(axes, [stridesOf(array.axes)], ([offset], place) => {
    data[place] = array.data[offset!]!;
  });
  return data;
}
