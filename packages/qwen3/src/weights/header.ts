/**
 * The header of a safetensors file, read with suspicion: a header that lies must never make anybody read or map
 * bytes outside the file, or two parameters share bytes.
 *
 * Format: https://github.com/huggingface/safetensors (8-byte little-endian header length, JSON header, data; no
 * gaps between tensors, no overlap, no duplicate names).
 */
import * as Either from "fp-ts/lib/Either.js";
import { jsonMembers } from "../config/json-text.ts";
import {
  type Checked,
  messageOf,
  type Problem,
  refuse,
  showGiven,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";
import { bytesOf, isTensorDtype, type TensorDtype } from "./dtype.ts";

/** One stored tensor: where its bytes are. Row-major, little-endian. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Absolute byte range in the file, end exclusive. */
  readonly begin: number;
  readonly end: number;
  readonly file: string;
}

export interface SafetensorsFile {
  readonly file: string;
  readonly entries: readonly TensorEntry[];
  /** The `__metadata__` of the header. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly bytes: number;
}

/** The reference implementation's own limit. */
export const headerLimit = 100_000_000;
/** Elements of any tensor of any model fit; more would overflow exact integer arithmetic. */
const mostDimensions = 64;
/** A corrupt file can have thousands of wrong entries; the first ones tell enough. */
const mostReported = 20;
/** Of the tensors behind the end of a file so many are named. */
const mostNamed = 3;

export const refetch = "the file is damaged or incomplete: fetch it again";

/**
 * Checks header text against the size of the file.
 *
 * @param headerBytes the JSON header, without the 8-byte length
 * @param fileBytes size of the whole file
 */
export function parseSafetensorsHeader(
  headerBytes: Uint8Array,
  fileBytes: number,
  file: string,
): Checked<SafetensorsFile> {
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(headerBytes);
    header = JSON.parse(text);
  } catch (error) {
    return refuse(file, "the header must be JSON in UTF-8", { given: messageOf(error), remedy: refetch });
  }
  if (typeof header !== "object" || header === null || Array.isArray(header)) {
    return refuse(file, "the header must be a JSON object", { given: showGiven(header), remedy: refetch });
  }
  const dataBegin = 8 + headerBytes.length;
  const problems = duplicateProblems(text, file);
  const entries: TensorEntry[] = [];
  let metadata: Readonly<Record<string, string>> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") {
      if (isStringMap(value)) metadata = value;
      else problems.push(userProblem(file, "__metadata__ must map strings to strings", { remedy: refetch }));
      continue;
    }
    const entry = parseEntry(name, value, dataBegin, file);
    if (Either.isLeft(entry)) problems.push(...entry.left);
    else entries.push(entry.right);
  }
  problems.push(...cutOffProblems(entries, dataBegin, fileBytes, file));
  // Ranges are compared only when each of them is sound by itself.
  if (problems.length === 0) problems.push(...rangeProblems(entries, dataBegin, fileBytes, file));
  return unlessProblems(shorten(problems, file), () => ({ file, entries, metadata, bytes: fileBytes }));
}

function isStringMap(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((item) => typeof item === "string");
}

function duplicateProblems(text: string, file: string): Problem[] {
  const problems: Problem[] = [];
  const names = new Set<string>();
  for (const member of jsonMembers(text)) {
    if (names.has(member.key)) {
      problems.push(
        userProblem(file, "each tensor must be listed once", {
          given: `two entries named ${showGiven(member.key)}`,
          path: member.key,
          remedy: refetch,
        }),
      );
    }
    names.add(member.key);
    const keys = new Set<string>();
    for (const inner of jsonMembers(text, member.begin)) {
      if (keys.has(inner.key)) {
        problems.push(
          userProblem(file, "each key of an entry must be there once", {
            given: `two keys ${showGiven(inner.key)}`,
            path: member.key,
            remedy: refetch,
          }),
        );
      }
      keys.add(inner.key);
    }
  }
  return problems;
}

function parseEntry(name: string, value: unknown, dataBegin: number, file: string): Checked<TensorEntry> {
  const wrong = (requirement: string, given: string) =>
    refuse(file, requirement, { given, path: name, remedy: refetch });
  if (name === "") return wrong("a tensor must have a name", 'the name ""');
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return wrong("an entry must be an object with dtype, shape and data_offsets", showGiven(value));
  }
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (!isTensorDtype(dtype)) {
    return wrong("dtype must be one that safetensors defines", showGiven(dtype));
  }
  const isSize = (size: unknown) => typeof size === "number" && Number.isSafeInteger(size) && size >= 0;
  if (!Array.isArray(shape) || shape.length > mostDimensions || !shape.every(isSize)) {
    return wrong("shape must be a list of non-negative integers", showGiven(shape));
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize) || offsets[0] > offsets[1]) {
    return wrong("data_offsets must be two ascending non-negative integers", showGiven(offsets));
  }
  const [begin, end] = offsets as [number, number];
  const elements = (shape as number[]).reduce((product, size) => product * size, 1);
  const expected = Number.isSafeInteger(elements) ? bytesOf(dtype, elements) : undefined;
  if (expected !== end - begin) {
    return wrong(
      `data_offsets must span the bytes of ${dtype} [${shape.join(", ")}]${expected === undefined ? "" : `, ${expected}`}`,
      `[${begin}, ${end}], ${end - begin} bytes`,
    );
  }
  return Either.right({
    name,
    dtype,
    shape: shape as number[],
    begin: dataBegin + begin,
    end: dataBegin + end,
    file,
  });
}

/** A file that ends too early, as a broken download does: one problem, however many tensors lie behind its end. */
function cutOffProblems(
  entries: readonly TensorEntry[],
  dataBegin: number,
  fileBytes: number,
  file: string,
): Problem[] {
  const beyond = entries.filter((entry) => entry.end > fileBytes);
  if (beyond.length === 0) return [];
  const end = beyond.reduce((most, entry) => Math.max(most, entry.end), 0) - dataBegin;
  const names = beyond.slice(0, mostNamed).map((entry) => entry.name);
  const rest = beyond.length - names.length;
  return [
    userProblem(file, "data_offsets must lie in the file", {
      given: `an end at ${end}, but the file has ${fileBytes - dataBegin} bytes of data: ${beyond.length} of ${entries.length} tensors end behind it`,
      path: names.join(", ") + (rest === 0 ? "" : ` and ${rest} more`),
      remedy: refetch,
    }),
  ];
}

/** The data must be covered exactly: no overlap, no hole, nothing after the last tensor. */
function rangeProblems(
  entries: readonly TensorEntry[],
  dataBegin: number,
  fileBytes: number,
  file: string,
): Problem[] {
  const sorted = [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end);
  const problems: Problem[] = [];
  let at = dataBegin;
  let before: TensorEntry | undefined;
  for (const entry of sorted) {
    if (entry.begin < at) {
      problems.push(
        userProblem(file, "tensors must not overlap", {
          given: `${at - entry.begin} bytes shared with ${before?.name ?? "the header"}`,
          path: entry.name,
          remedy: refetch,
        }),
      );
    } else if (entry.begin > at) {
      problems.push(
        userProblem(file, "tensors must leave no gap", {
          given: `${entry.begin - at} bytes that belong to no tensor before it`,
          path: entry.name,
          remedy: refetch,
        }),
      );
    }
    if (entry.end >= at) {
      at = entry.end;
      before = entry;
    }
  }
  if (at < fileBytes) {
    problems.push(
      userProblem(file, "the file must end with the last tensor", {
        given: `${fileBytes - at} bytes after it`,
        remedy: refetch,
      }),
    );
  }
  return problems;
}

function shorten(problems: readonly Problem[], file: string): readonly Problem[] {
  if (problems.length <= mostReported) return problems;
  const rest = problems.length - mostReported;
  return [
    ...problems.slice(0, mostReported),
    userProblem(file, "the header must be sound", {
      given: `${rest} more problems of this kind`,
      remedy: refetch,
    }),
  ];
}
