export { type DatElementType, datElements, datElementTypeOf } from "./element-types.ts";
export { type DatTensor, datLayout } from "./layout.ts";
export { type DatEntry, type DatFile, openDat } from "./open.ts";
export { type DatTensorToWrite, writeDat } from "./write.ts";
