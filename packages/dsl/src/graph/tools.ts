/** Graphs checked, written down, read back and drawn. */

export { graphToDot, quotedForDot } from "./dot.ts";
export type { DrawOptions } from "./drawing.ts";
export { type FoldItem, foldGraph, type Layer, layerOf, type Repeat } from "./fold.ts";
export { graphFromJson, graphJsonVersion, graphsFromJson, graphToJson } from "./json.ts";
export { matchGraphs, type NodeMatch } from "./match.ts";
export { graphToMermaid, quotedForMermaid } from "./mermaid.ts";
export { graphToTypeScript } from "./source/print.ts";
export { differenceOfTexts, formatChanges, type TextChange } from "./text/difference.ts";
export { parseGraph } from "./text/parse.ts";
export { type PrintOptions, printGraph, printOperation } from "./text/print.ts";
export { verifyGraph } from "./verify.ts";
