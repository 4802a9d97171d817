/** A compiler's messages as problems: where in which file, and for which block of the model. */
import { internalProblem, type Problem, userProblem } from "@weft/dsl";
import { kernelAt, linesByFile } from "./source-map.ts";

/** The name that `selfContained` gives generated text. */
const generated = "kernels.cu";

/** A compiler that goes on after hundreds of errors says nothing new. */
const mostProblems = 20;

export interface Attempt {
  /** Compiler and version, for the message. */
  readonly compiler: string;
  readonly target: string;
  readonly source: string;
  /** Everything that it printed. */
  readonly output: string;
}

interface Message {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  /** For an error inside a template: the line of the generated text that uses it. */
  readonly usedAt: number | undefined;
}

/** What went wrong, never empty: the errors with a place in the text, else what the compiler printed. */
export function problemsOf({ compiler, target, source, output }: Attempt): [Problem, ...Problem[]] {
  const requirement = `kernels must compile for ${target}`;
  const files = linesByFile(source);
  const placed = messagesOf(output)
    .filter(({ file }) => files.has(file))
    .slice(0, mostProblems)
    .map(({ file, line, text, usedAt }) => {
      const kernel = kernelAt(files.get(generated) ?? [], file === generated ? line : (usedAt ?? 0));
      const serves = kernel === undefined ? "" : ` in ${kernel.name}`;
      return internalProblem(compiler, requirement, {
        given: `${text}${serves}`,
        ...(kernel?.origin === undefined ? {} : { path: kernel.origin }),
        location: `${file}:${line}`,
        remedy: "please report this with the command",
      });
    });
  const [first, ...rest] = placed;
  if (first !== undefined) return [first, ...rest];
  const given = output.trim().slice(0, 2000) || "no message";
  if (/Unsupported gpu architecture|is not defined for option 'gpu-architecture'/.test(output)) {
    const remedy = "choose another target, or a newer compiler (WEFT_NVCC names it)";
    return [userProblem(compiler, `must know the target ${target}`, { given, remedy })];
  }
  if (/host compiler|gcc: No such file/i.test(output)) {
    const remedy = "install a C++ compiler that nvcc supports (on Debian: g++)";
    return [userProblem(compiler, "needs the host's C++ compiler for its preprocessor", { given, remedy })];
  }
  return [internalProblem(compiler, requirement, { given, remedy: "please report this with the command" })];
}

/** `gemm.cuh(12): error: ...` of nvcc and NVRTC, `gemm.cuh:12:5: error: ...` of host compilers. */
function messagesOf(output: string): Message[] {
  const lines = output.split("\n");
  const messages: Message[] = [];
  lines.forEach((text, index) => {
    const found =
      /^([^\s():]+)\((\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (.*)$/.exec(text) ??
      /^([^\s():]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$/.exec(text);
    if (found === null) return;
    const end = lines.findIndex((one, later) => later > index && /^\S/.test(one));
    const detail = lines.slice(index + 1, end < 0 ? undefined : end).join("\n");
    const usedAt = new RegExp(`at line (\\d+) of "?${generated.replace(".", "\\.")}`).exec(detail)?.[1];
    messages.push({
      file: found[1]!,
      line: Number(found[2]),
      text: found[3]!,
      usedAt: usedAt === undefined ? undefined : Number(usedAt),
    });
  });
  return messages;
}
