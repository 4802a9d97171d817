/** Plain tables: columns aligned, no borders, nothing that a `grep` would trip over. */
import stringWidth from "string-width";
import { colours } from "./output.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const gap = "  ";

/** Rows below their titles; no titles where none has any text. A cell may have several lines. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const titled = columns.some((column) => column.title !== "");
  const titles = columns.map((column) => colours.bold(column.title));
  const lines = (titled ? [titles, ...rows] : rows).flatMap((row) => linesOf(row, columns.length));
  const widths = columns.map((_, at) =>
    lines.reduce((most, line) => Math.max(most, stringWidth(line[at]!)), 0),
  );
  const padded = (cell: string, at: number) => {
    const space = " ".repeat(widths[at]! - stringWidth(cell));
    return columns[at]!.align === "right" ? space + cell : cell + space;
  };
  return lines.map((line) => line.map(padded).join(gap).trimEnd()).join("\n");
}

/** A row as lines, each with a text for every column. */
function linesOf(row: readonly string[], columns: number): readonly (readonly string[])[] {
  const cells = Array.from({ length: columns }, (_, at) => (row[at] ?? "").split("\n"));
  const height = cells.reduce((most, cell) => Math.max(most, cell.length), 1);
  return Array.from({ length: height }, (_, line) => cells.map((cell) => cell[line] ?? ""));
}
