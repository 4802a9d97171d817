export { blocksName, encodeScaleName, inputEncodeScaleName, tensorScaleName } from "./names.ts";
export * from "./quantize.ts";
