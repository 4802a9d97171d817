/** A list of any length of which only the rows in sight exist. Rows have one height; arrow keys move a cursor. */
import { element } from "./dom.ts";

export interface ListOptions<R> {
  readonly label: string;
  readonly rowHeight: number;
  readonly draw: (row: R, index: number) => HTMLElement;
  readonly onChoose: (row: R, index: number, event: MouseEvent | KeyboardEvent) => void;
  /** Left (-1) and right (1) on a row: closing and opening. */
  readonly onTurn?: (row: R, direction: 1 | -1) => void;
}

/** Rows that are drawn above and below those in sight. */
const margin = 6;

export class VirtualList<R> {
  readonly root: HTMLElement;
  readonly #options: ListOptions<R>;
  readonly #space = element("div", { class: "list-space" });
  #rows: readonly R[] = [];
  #cursor = -1;
  #drawn = "";

  constructor(options: ListOptions<R>) {
    this.#options = options;
    this.root = element(
      "div",
      { class: "list", attributes: { tabindex: "0", role: "listbox", "aria-label": options.label } },
      this.#space,
    );
    this.root.addEventListener("scroll", () => this.#draw());
    this.root.addEventListener("keydown", (event) => this.#onKey(event));
    new ResizeObserver(() => this.#draw()).observe(this.root);
  }

  get rows(): readonly R[] {
    return this.#rows;
  }

  show(rows: readonly R[]): void {
    this.#rows = rows;
    this.#cursor = Math.min(this.#cursor, rows.length - 1);
    this.#space.style.height = `${rows.length * this.#options.rowHeight}px`;
    this.redraw();
  }

  /** Rows look different now. */
  redraw(): void {
    this.#drawn = "";
    this.#draw();
  }

  /** Scrolls only where the row is out of sight. */
  reveal(index: number): void {
    if (index < 0) return;
    const { rowHeight } = this.#options;
    const [top, height] = [index * rowHeight, this.root.clientHeight];
    if (top < this.root.scrollTop || top + rowHeight > this.root.scrollTop + height)
      this.root.scrollTop = Math.max(0, top - height / 3);
    this.#draw();
  }

  #draw(): void {
    const { rowHeight, draw, onChoose } = this.#options;
    const first = Math.max(0, Math.floor(this.root.scrollTop / rowHeight) - margin);
    const visible = Math.ceil(this.root.clientHeight / rowHeight) + 2 * margin;
    const last = Math.min(this.#rows.length, first + visible);
    const key = `${first} ${last} ${this.#cursor}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    const shown: HTMLElement[] = [];
    for (let index = first; index < last; index++) {
      const row = this.#rows[index]!;
      const made = draw(row, index);
      made.classList.add("row");
      made.setAttribute("role", "option");
      made.dataset.index = String(index);
      if (index === this.#cursor) made.classList.add("cursor");
      made.style.top = `${index * rowHeight}px`;
      made.style.height = `${rowHeight}px`;
      made.addEventListener("click", (event) => {
        this.#cursor = index;
        onChoose(row, index, event);
      });
      shown.push(made);
    }
    this.#space.replaceChildren(...shown);
  }

  #onKey(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.root.clientHeight / this.#options.rowHeight) - 1);
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: 1,
      ArrowUp: -1,
      j: 1,
      k: -1,
      PageDown: page,
      PageUp: -page,
      Home: -this.#rows.length,
      End: this.#rows.length,
    };
    const move = moves[event.key];
    const row = this.#rows[this.#cursor];
    if (move !== undefined && this.#rows.length > 0) {
      this.#cursor = Math.min(this.#rows.length - 1, Math.max(0, this.#cursor + move));
      this.redraw();
      this.reveal(this.#cursor);
    } else if (event.key === "Enter" && row !== undefined) {
      this.#options.onChoose(row, this.#cursor, event);
    } else if ((event.key === "ArrowRight" || event.key === "ArrowLeft") && row !== undefined) {
      this.#options.onTurn?.(row, event.key === "ArrowRight" ? 1 : -1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
