export { checkAgreement, checkQuantization } from "./agreement.ts";
export { type StoredWeights, storedWeights } from "./find.ts";
export type { FilePart, Nvfp4Format, QuantizedLinear, StoredScale } from "./quantized-linear.ts";
export { type Piece, readPart, readPieces } from "./read-part.ts";
export { checkScales, scaleCodesIn, scaleCodesOf } from "./scale-codes.ts";
