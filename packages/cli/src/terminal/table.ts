/** Plain tables: columns aligned, no borders, nothing that a `grep` would trip over. */
import Table from "cli-table3";
import { colours } from "./output.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const noBorders = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** Rows below their titles; no titles where none has any text. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titled = columns.some((column) => column.title !== "");
  const table = new Table({
    chars: noBorders,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
    colAligns: columns.map((column) => column.align ?? "left"),
    ...(titled ? { head: columns.map((column) => colours.bold(column.title)) } : {}),
  });
  table.push(...rows.map((row) => [...row]));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}
