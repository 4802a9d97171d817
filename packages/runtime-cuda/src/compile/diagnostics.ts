/** A compiler's messages as problems: where in which file, and for which block of the model. */
import { internalProblem, type Problem, userProblem } from "@weft/dsl";
import { compilerMessages } from "./compiler-messages.ts";
import { kernelAt, linesByFile } from "./source-map.ts";

/** A compiler that goes on after hundreds of errors says nothing new. */
const mostProblems = 20;

export interface Attempt {
  /** Compiler and version, for the message. */
  readonly compiler: string;
  readonly target: string;
  readonly source: string;
  /** What the text is called in messages; default: the name that `selfContained` gives generated text. */
  readonly file?: string;
  /** Everything that it printed. */
  readonly output: string;
}

/** What went wrong, never empty: the errors with a place in the text, else what the compiler printed. */
export function problemsOf(attempt: Attempt): [Problem, ...Problem[]] {
  const { compiler, target, source, file: generated = "kernels.cu", output } = attempt;
  const requirement = `kernels must compile for ${target}`;
  const files = linesByFile(source, generated);
  const placed = compilerMessages(output)
    .filter(({ file }) => files.has(file))
    .slice(0, mostProblems)
    .map(({ file, line, message, usedAt }) => {
      const used = file === generated ? line : usedAt?.file === generated ? usedAt.line : 0;
      const kernel = kernelAt(files.get(generated) ?? [], used);
      const serves = kernel === undefined ? "" : ` in ${kernel.name}`;
      const text = files.get(file)?.[line]?.trim() ?? "";
      return internalProblem(compiler, requirement, {
        given: `${message}${serves}${text === "" ? "" : `, \`${text}\``}`,
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
