/** Places and operands of training's attention as text. */
import type {
  Access,
  AttentionBackwardKernel,
  AttentionForwardKernel,
  HeadsAccess,
} from "../../plan/types.ts";
import { affineText, type Code, slotView, storageType } from "../code.ts";

export type TrainingKernel = AttentionForwardKernel | AttentionBackwardKernel;

export const at = (access: Access, names: readonly string[]): string =>
  [affineText(access.offset), ...access.strides.map((stride, index) => `${stride}LL * ${names[index]}`)].join(
    " + ",
  );

export const place = ({ offset, positionStride, headStride }: HeadsAccess): string =>
  `HeadsPlace{${affineText(offset)}, ${positionStride}, ${headStride}}`;

export function writeOperand(code: Code, kernel: TrainingKernel, name: string, access: HeadsAccess): void {
  const type = storageType[kernel.slots[access.slot]!.dtype];
  code.line(`const HeadsOf<${type}> ${name} = {${slotView(access.slot)}, ${place(access)}};`);
}
