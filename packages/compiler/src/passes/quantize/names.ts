/** Names of what stands beside a quantised weight. */

/** The f32 scale of a whole tensor: values are code x block scale x this. */
export const tensorScaleName = (parameter: string): string => `${parameter}.tensor_scale`;

/** Of a weight in FP8: the f32 scale of each of its rows. */
export const rowScalesName = (parameter: string): string => `${parameter}.row_scales`;

/** Of a weight under training: 2688 over its largest magnitude, the inverse of its tensor's scale. */
export const encodeScaleName = (parameter: string): string => `${parameter}.encode_scale`;

/** A weight under training in NVFP4, a state beside the weight itself. */
export const blocksName = (parameter: string): string => `${parameter}.nvfp4`;

/** By what the input of a product is multiplied before it is quantised: 2688 over the largest magnitude expected. */
export const inputEncodeScaleName = (parameter: string): string => `${parameter}.input_encode_scale`;
