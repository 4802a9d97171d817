/** The view that stands in a page of `weft inspect`: JSON, or packed where it is large. */
import { inflateRawSync } from "node:zlib";
import { packedType, type View } from "@weft/viewer";

export function viewInPage(page: string): View {
  const [, type, text] = /<script type="([^"]+)" id="view">(.*)<\/script>/.exec(page)!;
  const json = type === packedType ? inflateRawSync(Buffer.from(text!, "base64")).toString() : text!;
  return JSON.parse(json) as View;
}
