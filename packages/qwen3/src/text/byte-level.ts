/**
 * The byte-level alphabet of GPT-2's vocabulary, which Qwen's uses too: each of the 256 bytes is written as one
 * printable character, so that a token of arbitrary bytes can stand in a JSON file.
 */

const byteOfCharacter: ReadonlyMap<number, number> = (() => {
  const table = new Map<number, number>();
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 256;
  for (let byte = 0; byte < 256; byte++) table.set(printable(byte) ? byte : next++, byte);
  return table;
})();

const encoder = new TextEncoder();

/**
 * The bytes that a token of the vocabulary stands for. A token with any character outside the alphabet (an added
 * token with a space, for instance) stands for its own UTF-8, as the tokenizers library decodes it.
 */
export function bytesOfToken(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let index = 0; index < token.length; index++) {
    const byte = byteOfCharacter.get(token.charCodeAt(index));
    if (byte === undefined) return encoder.encode(token);
    bytes[index] = byte;
  }
  return bytes;
}
