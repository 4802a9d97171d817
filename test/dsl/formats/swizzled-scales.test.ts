/** The order of block scales for matrix units with FP4: places by hand, and every scale in a place of its own. */
import { swizzledBytes, swizzledPlace, swizzleScales } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("swizzled scales");

test("places within a tile, and of the tiles", () => {
  const places = [
    // Neighbouring blocks, rows, and rows 32 apart.
    [0, 1, 1],
    [1, 0, 16],
    [32, 0, 4],
    [127, 3, 511],
    // The next four blocks, and the next 128 rows behind all blocks.
    [0, 4, 512],
    [128, 0, 1024],
    [160, 5, 1024 + 512 + 5],
  ] as const;
  for (const [row, block, place] of places)
    assert.is(swizzledPlace(row, block, 6), place, `row ${row}, block ${block}`);
});

for (const [rows, blocks] of [
  [128, 4],
  [130, 6],
  [40, 17],
] as const)
  test(`${rows} rows of ${blocks} blocks: each scale once, zeros for the rest`, () => {
    const scales = Uint8Array.from({ length: rows * blocks }, (_, at) => 1 + (at % 255));
    const swizzled = swizzleScales(scales, blocks);
    assert.is(swizzled.length, swizzledBytes(rows, blocks));
    assert.is(swizzled.length % 512, 0);
    const places = new Set<number>();
    for (let row = 0; row < rows; row++)
      for (let block = 0; block < blocks; block++) {
        const place = swizzledPlace(row, block, blocks);
        places.add(place);
        assert.is(swizzled[place], scales[row * blocks + block]);
      }
    assert.is(places.size, rows * blocks);
    assert.is(swizzled.filter((scale) => scale !== 0).length, rows * blocks);
  });

test.run();
