/** What is known of a linear that a checkpoint stores in NVFP4: where its bytes lie, and how they are scaled. */

/**
 * Who writes weights so:
 *
 * | | codes | block scales | tensor scale |
 * | --- | --- | --- | --- |
 * | `compressed-tensors` | `M.weight_packed` | `M.weight_scale` | `M.weight_global_scale`, divides |
 * | `modelopt` | `M.weight` (U8) | `M.weight_scale` | `M.weight_scale_2`, multiplies |
 * | `dat` | `M.weight.qdata` or `M.qdata` | `M.weight.scale` or `M.scale` | none |
 */
export type Nvfp4Format = "compressed-tensors" | "modelopt" | "dat";

/** Bytes of a file, as `FileWeight` has them. */
export interface FilePart {
  /** The name under which the file lists it. */
  readonly name: string;
  readonly path: string;
  /** Where it begins, in bytes; no alignment is promised. */
  readonly offset: number;
  readonly bytes: number;
}

/** One number of a file, kept as it is stored so that the same format gets the same bytes again. */
export interface StoredScale {
  readonly name: string;
  /** The f32 that the file holds. */
  readonly value: number;
  /** Whether values are divided or multiplied by it. */
  readonly form: "divide" | "multiply";
  /** As the file has it: some write a scalar, some a list of one. */
  readonly shape: readonly number[];
}

/** A linear in NVFP4, value = e2m1(code) x scale of its block x `tensorScale`. */
export interface QuantizedLinear {
  /** The parameter that it stands for, `model.layers.0.self_attn.q_proj.weight`, whatever the file calls its parts. */
  readonly name: string;
  readonly format: Nvfp4Format;
  /** [outputs N, inputs K]; K is a multiple of 16. */
  readonly shape: readonly [rows: number, columns: number];
  /** [N, K/2] bytes: element 2j of a row in the low half of its byte j, 2j+1 in the high half. */
  readonly codes: FilePart;
  /**
   * [N, K/16], row by row. `e4m3` is a byte each; `f16` and `f32` are met in `.dat` files only and hold values of E4M3.
   * `scaleCodesOf` gives the codes in E4M3 whatever is stored.
   */
  readonly scales: FilePart & { readonly dtype: "e4m3" | "f16" | "f32" };
  /** f32, to multiply by: 1 / stored where the file divides, 1 where it has none. Finite, never negative. */
  readonly tensorScale: number;
  /** Absent in `.dat`. */
  readonly stored: StoredScale | undefined;
  /** The scale of the activations, where W4A4 was calibrated. */
  readonly input: StoredScale | undefined;
}
