/** Golden files: what a result must be, written down under test/golden; WEFT_UPDATE_GOLDEN=1 writes them anew. */

/** `test/golden/NAME`, for `assertSnapshot`. */
export const goldenFile = (name: string): URL => new URL(`../golden/${name}`, import.meta.url);
