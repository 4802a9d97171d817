/** Unsigned LEB128: seven bits a byte, the lowest first; the top bit says that another byte follows. */

/** Bytes of the largest number of 64 bits. */
export const longestLeb128 = 10;

/** @param value a safe integer of at least 0 */
export function encodeLeb128(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

/**
 * @returns the value and how many bytes it takes; "short" where `bytes` end within it, "wide" where it is longer than
 * 64 bits or no safe integer
 */
export function decodeLeb128(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly length: number } | "short" | "wide" {
  let value = 0;
  let unit = 1;
  for (let length = 1; length <= longestLeb128; length++, unit *= 128) {
    const byte = bytes[at + length - 1];
    if (byte === undefined) return "short";
    value += (byte & 127) * unit;
    if (byte < 128) return Number.isSafeInteger(value) ? { value, length } : "wide";
  }
  return "wide";
}
