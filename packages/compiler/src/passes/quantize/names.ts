/** Names of what stands beside a quantised weight. */

/** The f32 scale of a whole tensor: values are code x block scale x this. */
export const tensorScaleName = (parameter: string): string => `${parameter}.tensor_scale`;

/** By what the input of a product is multiplied before it is quantised: 2688 over the largest magnitude expected. */
export const inputEncodeScaleName = (parameter: string): string => `${parameter}.input_encode_scale`;
