export { qwen3Onnx } from "./graph.ts";
export { exportOnnx, type OnnxExport, type OnnxExportOptions } from "./write.ts";
