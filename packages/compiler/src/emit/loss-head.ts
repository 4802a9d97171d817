/** The kernel of a linear layer with its cross entropy, in chunks of positions. */
import { axis, maxSize, type NodeId } from "@weft/dsl";
import { sumOf } from "../fusion/affine.ts";
import { type FusedLossHead, nodesOf } from "../fusion/types.ts";
import type { Access } from "../plan/types.ts";
import { Bindings } from "./bindings.ts";
import type { Emitted, KernelSite } from "./kernels.ts";
import { kernelName } from "./naming.ts";
import type { Storage } from "./storage.ts";

export function lossHeadKernel(group: FusedLossHead, site: KernelSite): Emitted {
  const { graph, assembly, places } = site;
  const { scores, loss, back } = group;
  const [input, weight] = graph.nodes[scores]!.inputs as readonly [NodeId, NodeId];
  const [positions, classes] = graph.nodes[scores]!.type.axes as readonly [
    { readonly name: string; readonly size: never },
    { readonly name: string; readonly size: number },
  ];
  const [, targets] = graph.nodes[(loss ?? back?.gradient)!]!.inputs as readonly [NodeId, NodeId];
  const contracted = graph.nodes[weight]!.type.axes.slice(1);
  const bindings = new Bindings(assembly);
  const access = (storage: Storage, along: string, kind: "read" | "write", rowStride: number): Access => ({
    slot: bindings.slot(storage.buffer, kind),
    offset: assembly.affine(storage.offset),
    strides: [storage.strides.get(along) ?? 0],
    rowStride,
  });
  const read = (id: NodeId, rowStride: number) =>
    access(places.storageOf(id)!, positions.name, "read", rowStride);
  const written = (id: NodeId | undefined, along: string, rowStride: number) =>
    id === undefined || !site.stored.has(id) ? [] : [access(places.targetOf(id)!, along, "write", rowStride)];
  const cotangent = back === undefined ? undefined : graph.nodes[back.gradient]!.inputs[2]!;
  const operands = {
    input: read(input, 1),
    weight: bindings.slot(places.storageOf(weight)!.buffer, "read"),
    targets: read(targets, 0),
  };
  // What a chunk's scores take is part of the plan, as any other value is.
  const length = Math.min(group.chunk, maxSize(positions.size));
  const chunk = axis("chunk", length);
  const area = assembly.addBuffer(
    `${graph.nodes[scores]!.origin.path}:scores of a chunk`,
    "activations",
    "f32",
    [chunk, classes],
  );
  return {
    kernel: {
      kind: "linearCrossEntropy",
      name: kernelName(graph, nodesOf(group)),
      slots: bindings.slots,
      positions: assembly.affine(sumOf(positions.size)),
      chunk: length,
      contracted: contracted.reduce((product, one) => product * (one.size as number), 1),
      classes: classes.size,
      ...operands,
      scores: bindings.slot(area, "write"),
      losses: written(loss, positions.name, 0),
      cotangents: cotangent === undefined ? [] : [read(cotangent, 0)],
      slopeDtype: back?.rounded === undefined ? "f32" : "bf16",
      inputGradients: written(back?.input, positions.name, 1),
      weightGradients: written(back?.weight, classes.name, 1),
    },
    bindings,
  };
}
