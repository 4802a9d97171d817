/** Elements made in one call. Text is always set as text, so that no name of a model is ever read as markup. */

export interface ElementOptions {
  readonly class?: string;
  readonly text?: string;
  readonly title?: string;
  readonly id?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly onclick?: (event: MouseEvent) => void;
}

export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  options: ElementOptions = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  apply(made, options);
  made.append(...children);
  return made;
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  options: ElementOptions = {},
  ...children: readonly Node[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(made, options);
  made.append(...children);
  return made;
}

function apply(made: HTMLElement | SVGElement, options: ElementOptions): void {
  if (options.class !== undefined) made.setAttribute("class", options.class);
  if (options.id !== undefined) made.id = options.id;
  if (options.text !== undefined) made.textContent = options.text;
  if (options.title !== undefined) made.setAttribute("title", options.title);
  for (const [name, value] of Object.entries(options.attributes ?? {})) made.setAttribute(name, value);
  const { onclick } = options;
  if (onclick !== undefined) made.addEventListener("click", (event) => onclick(event as MouseEvent));
}

export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page must have an element #${id}`);
  return found;
}
