export {
  blocksName,
  encodeScaleName,
  inputEncodeScaleName,
  rowScalesName,
  tensorScaleName,
} from "./names.ts";
export * from "./quantize.ts";
export { scalesBehind } from "./scales-behind.ts";
