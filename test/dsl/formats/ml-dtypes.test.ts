/** E2M1 and E4M3 against ml_dtypes; test/parity/with_nvfp4_libraries.py has stored what that library makes of them. */
import { readFileSync } from "node:fs";
import { decodeE2m1, decodeE4m3, encodeE2m1, encodeE4m3 } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("E2M1 and E4M3 against ml_dtypes");

interface Stored {
  readonly values: string;
  readonly from: string;
  readonly codes: string;
}

const stored = JSON.parse(
  readFileSync(new URL("../../fixtures/nvfp4/codecs.json", import.meta.url), "utf8"),
) as Readonly<Record<"e2m1" | "e4m3", Stored>>;
const bytes = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const floats = (text: string) => new Float32Array(bytes(text).buffer);

for (const { name, decode, encode, count } of [
  { name: "e2m1", decode: decodeE2m1, encode: encodeE2m1, count: 16 },
  { name: "e4m3", decode: decodeE4m3, encode: encodeE4m3, count: 256 },
] as const) {
  test(`every code of ${name} has the same value`, () => {
    const values = floats(stored[name].values);
    assert.is(values.length, count);
    for (const [code, value] of values.entries()) assert.ok(Object.is(decode(code), value), `code ${code}`);
  });

  test(`thousands of numbers have the same ${name}, those around every tie among them`, () => {
    const from = floats(stored[name].from);
    const codes = bytes(stored[name].codes);
    assert.is(from.length, codes.length);
    assert.ok(from.length > 2500);
    for (const [index, value] of from.entries()) {
      assert.is(encode(value), codes[index], `${value}`);
    }
  });
}

test.run();
