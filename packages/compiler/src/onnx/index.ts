export { graphToOnnx, keepForOnnx } from "./export.ts";
export * from "./types.ts";
export { elementTypes as onnxElementTypes } from "./writer.ts";
