/** Where everything of a safetensors file comes to lie, known from shapes alone: writers put each tensor at its place. */
import { bytesOf, dtypeBits, type TensorDtype } from "./dtype.ts";
import type { FileLayout } from "./file-layout.ts";
import { headerBytes } from "./write.ts";

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
}

/** Wider element types lie first, so that each tensor is aligned. Names are not empty and each is there once. */
export function safetensorsLayout(
  tensors: readonly SafetensorsTensor[],
  metadata: Readonly<Record<string, string>> = { format: "pt" },
): FileLayout {
  const order = tensors
    .map((_, index) => index)
    .sort((a, b) => dtypeBits[tensors[b]!.dtype] - dtypeBits[tensors[a]!.dtype] || a - b);
  const header: Record<string, unknown> = Object.create(null);
  header.__metadata__ = metadata;
  const offsets: number[] = [];
  let offset = 0;
  for (const index of order) {
    const { name, dtype, shape } = tensors[index]!;
    const elements = shape.reduce((product, size) => product * size, 1);
    const end = offset + bytesOf(dtype, elements)!;
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offsets[index] = offset;
    offset = end;
  }
  const bytes = headerBytes(header);
  return {
    bytes: bytes.length + offset,
    fixed: [{ at: 0, bytes }],
    begins: offsets.map((begin) => bytes.length + begin),
  };
}
