export { inputEncodeScaleName, tensorScaleName } from "./names.ts";
export * from "./quantize.ts";
