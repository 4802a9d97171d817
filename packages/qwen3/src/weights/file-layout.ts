/** Of a file whose tensors may be written in any order: where everything lies is known before anything is written. */
export interface FileLayout {
  readonly bytes: number;
  /** What lies between tensors, with where it goes. */
  readonly fixed: readonly { readonly at: number; readonly bytes: Uint8Array }[];
  /** Where the bytes of each tensor begin, in the order given. */
  readonly begins: readonly number[];
}
