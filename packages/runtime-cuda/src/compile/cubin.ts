/** What the header of a cubin says: an ELF file whose flags name the architecture. */

const elfMagic = 0x7f454c46;
const cudaMachine = 190;
/** Since this version of the ABI, bits 8 to 15 of the flags hold the architecture; before it, bits 0 to 7. */
const shiftedAbi = 8;

/** `major * 10 + minor` of the compute capability that a cubin is for; undefined for anything else than a cubin. */
export function cubinArchitecture(image: Uint8Array): number | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < 64 || view.getUint32(0) !== elfMagic) return undefined;
  if (view.getUint16(0x12, true) !== cudaMachine) return undefined;
  const flags = view.getUint32(0x30, true);
  return view.getUint8(8) >= shiftedAbi ? (flags >> 8) & 0xff : flags & 0xff;
}
