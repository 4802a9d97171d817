/**
 * One compiled module as a file: everything that it was compiled from, what the compiler printed, and the image.
 *
 *     weft-kernel 1 SHA-256-OF-ALL-THAT-FOLLOWS-THE-LINE-BREAK
 *     {"compiler", "version", "flags", "target", "sourceBytes", "logBytes", "imageBytes"}
 *     source, log and image, one after the other
 */
import { createHash } from "node:crypto";
import type { Compilation } from "./compiler.ts";

/** Raised when old entries must not be read any more. */
const entryVersion = 1;

/** All that an image depends on. */
export interface KernelInputs {
  readonly compiler: string;
  readonly version: string;
  readonly flags: readonly string[];
  readonly target: string;
  readonly source: string;
}

interface EntryHeader extends Omit<KernelInputs, "source"> {
  readonly sourceBytes: number;
  readonly logBytes: number;
  readonly imageBytes: number;
}

export const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

export function kernelKey({ compiler, version, flags, target, source }: KernelInputs): string {
  return sha256(JSON.stringify([entryVersion, compiler, version, flags, target, source]));
}

export function packEntry({ source, ...inputs }: KernelInputs, { image, log }: Compilation): Buffer {
  const parts = [Buffer.from(source), Buffer.from(log), Buffer.from(image)];
  const [sourceBytes, logBytes, imageBytes] = parts.map((part) => part.length) as [number, number, number];
  const header: EntryHeader = { ...inputs, sourceBytes, logBytes, imageBytes };
  const content = Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...parts]);
  return Buffer.concat([Buffer.from(`weft-kernel ${entryVersion} ${sha256(content)}\n`), content]);
}

/** The compilation in an entry, or in words why it is not what was written for these inputs. */
export function unpackEntry(entry: Uint8Array, inputs: KernelInputs): Compilation | string {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength);
  const first = bytes.indexOf(10);
  const [, version, hash] =
    /^weft-kernel (\d+) ([0-9a-f]{64})$/.exec(bytes.toString("latin1", 0, first)) ?? [];
  if (version === undefined) return "it is cut short or no entry at all";
  if (Number(version) !== entryVersion) return `it has the format ${version}`;
  const content = bytes.subarray(first + 1);
  if (sha256(content) !== hash) return "its content does not match its hash";
  const second = content.indexOf(10);
  const header = JSON.parse(content.toString("utf8", 0, second)) as EntryHeader;
  const sourceAt = second + 1;
  const logAt = sourceAt + header.sourceBytes;
  const imageAt = logAt + header.logBytes;
  const written: KernelInputs = {
    compiler: header.compiler,
    version: header.version,
    flags: header.flags,
    target: header.target,
    source: content.toString("utf8", sourceAt, logAt),
  };
  if (kernelKey(written) !== kernelKey(inputs) || written.source !== inputs.source) {
    return "it was compiled from other inputs";
  }
  return {
    log: content.toString("utf8", logAt, imageAt),
    // A copy: the image outlives the entry, and starts where memory is aligned.
    image: new Uint8Array(content.subarray(imageAt, imageAt + header.imageBytes)),
  };
}
