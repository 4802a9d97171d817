/** An ONNX graph as the bytes of a file: protobuf by the library that has ONNX's schema. */
import { type OnnxGraph, type OnnxValue, onnxElementTypes } from "@weft/compiler";
import onnxProto, { type onnx } from "onnx-proto";

/** Where a weight's values are: in the file itself, or in another one beside it. */
export type WeightPlace =
  | { readonly kind: "inline"; readonly data: Uint8Array }
  | { readonly kind: "external"; readonly file: string; readonly offset: number; readonly bytes: number };

/** The version of the file format that came with the operators in use. */
const irVersion = 8;

export function encodeOnnx(
  graph: OnnxGraph,
  place: (weight: string) => WeightPlace,
  properties: Readonly<Record<string, string>>,
): Uint8Array {
  const { AttributeProto, ModelProto, TensorProto } = onnxProto.onnx;
  const { INT, INTS } = AttributeProto.AttributeType;
  const constants = graph.constants.map(
    ({ name, dtype, dimensions, values }): onnx.ITensorProto => ({
      name,
      dims: [...dimensions],
      dataType: onnxElementTypes[dtype],
      rawData: bytesOfConstant(dtype, values),
    }),
  );
  const weights = graph.weights.map(({ name, dtype, dimensions }): onnx.ITensorProto => {
    const common = { name, dims: [...dimensions], dataType: onnxElementTypes[dtype] };
    const where = place(name);
    if (where.kind === "inline") return { ...common, rawData: where.data };
    const entries = { location: where.file, offset: String(where.offset), length: String(where.bytes) };
    return {
      ...common,
      dataLocation: TensorProto.DataLocation.EXTERNAL,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
    };
  });
  const nodes = graph.nodes.map(
    ({ name, op, inputs, output, attributes }): onnx.INodeProto => ({
      name,
      opType: op,
      input: [...inputs],
      output: [output],
      attribute: Object.entries(attributes).map(([key, value]) =>
        typeof value === "number"
          ? { name: key, type: INT, i: value }
          : { name: key, type: INTS, ints: [...value] },
      ),
    }),
  );
  const model: onnx.IModelProto = {
    irVersion,
    producerName: "weft",
    opsetImport: [{ domain: "", version: graph.opset }],
    metadataProps: Object.entries(properties).map(([key, value]) => ({ key, value })),
    graph: {
      name: graph.name,
      node: nodes,
      initializer: [...constants, ...weights],
      input: graph.inputs.map(valueInfo),
      output: graph.outputs.map(valueInfo),
    },
  };
  return ModelProto.encode(model).finish();
}

function valueInfo({ name, dtype, dimensions }: OnnxValue): onnx.IValueInfoProto {
  const dim = dimensions.map((one) => (typeof one === "number" ? { dimValue: one } : { dimParam: one }));
  return { name, type: { tensorType: { elemType: onnxElementTypes[dtype], shape: { dim } } } };
}

function bytesOfConstant(
  dtype: OnnxGraph["constants"][number]["dtype"],
  values: readonly number[],
): Uint8Array {
  const array =
    dtype === "f32"
      ? Float32Array.from(values)
      : dtype === "i32"
        ? Int32Array.from(values)
        : dtype === "bool"
          ? Uint8Array.from(values)
          : BigInt64Array.from(values, BigInt);
  return new Uint8Array(array.buffer);
}
