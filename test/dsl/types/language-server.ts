/** The project's own TypeScript as an editor talks to it: JSON-RPC over the pipes of `tsc --lsp --stdio`. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compiler } from "./compile.ts";

export interface Diagnostic {
  readonly message: string;
  /** The text that is underlined. */
  readonly text: string;
}

interface Position {
  readonly line: number;
  readonly character: number;
}

type Reply = { readonly result?: unknown; readonly error?: { readonly message: string } };

export class LanguageServer {
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #received = Buffer.alloc(0);
  #requests = 0;

  private constructor(folder: string) {
    this.#folder = folder;
    const args = [compiler, "--lsp", "--stdio"];
    this.#process = spawn(process.execPath, args, { cwd: folder, stdio: ["pipe", "pipe", "ignore"] });
    this.#process.stdout!.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#process.on("close", () => {
      for (const done of this.#waiting.values())
        done({ error: { message: "the language server has ended" } });
    });
  }

  static async start(folder: string): Promise<LanguageServer> {
    const server = new LanguageServer(folder);
    const rootUri = pathToFileURL(folder).href;
    await server.#ask("initialize", {
      processId: process.pid,
      rootUri,
      workspaceFolders: [{ uri: rootUri, name: "programs" }],
      capabilities: {
        textDocument: { hover: { contentFormat: ["markdown"] }, diagnostic: { dynamicRegistration: false } },
      },
    });
    server.#send({ method: "initialized", params: {} });
    return server;
  }

  open(name: string, text: string): void {
    const textDocument = { uri: this.#uri(name), languageId: "typescript", version: 1, text };
    this.#send({ method: "textDocument/didOpen", params: { textDocument } });
  }

  /** What the editor shows for the first place of `word` in the file. */
  async hover(name: string, text: string, word: string): Promise<string> {
    const position = positionOf(text, text.indexOf(word));
    const found = (await this.#ask("textDocument/hover", {
      textDocument: { uri: this.#uri(name) },
      position,
    })) as {
      readonly contents: string | { readonly value: string };
    } | null;
    const contents = found?.contents ?? "";
    return typeof contents === "string" ? contents : contents.value;
  }

  /** What the editor underlines in the file. */
  async diagnostics(name: string, text: string): Promise<readonly Diagnostic[]> {
    const found = (await this.#ask("textDocument/diagnostic", {
      textDocument: { uri: this.#uri(name) },
    })) as {
      readonly items: readonly {
        readonly severity: number;
        readonly message: string;
        readonly range: { readonly start: Position; readonly end: Position };
      }[];
    };
    return found.items
      .filter(({ severity }) => severity === 1)
      .map(({ message, range }) => ({
        message,
        text: text.slice(offsetOf(text, range.start), offsetOf(text, range.end)),
      }));
  }

  async stop(): Promise<void> {
    const ended = new Promise((done) => this.#process.once("close", done));
    await this.#ask("shutdown", null);
    this.#send({ method: "exit" });
    this.#process.stdin!.end();
    const late = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(late);
  }

  #uri(name: string): string {
    return pathToFileURL(join(this.#folder, `${name}.ts`)).href;
  }

  #ask(method: string, params: unknown): Promise<unknown> {
    const id = ++this.#requests;
    return new Promise((done, fail) => {
      const late = setTimeout(() => fail(new Error(`${method} was not answered within a minute`)), 60_000);
      this.#waiting.set(id, ({ result, error }) => {
        clearTimeout(late);
        if (error === undefined) done(result);
        else fail(new Error(`${method}: ${error.message}`));
      });
      this.#send({ id, method, ...(params === null ? {} : { params }) });
    });
  }

  #send(message: object): void {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    this.#process.stdin!.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    for (;;) {
      const header = this.#received.indexOf("\r\n\r\n");
      const length = Number(/Content-Length: (\d+)/i.exec(this.#received.toString("latin1", 0, header))?.[1]);
      if (header < 0 || this.#received.length < header + 4 + length) return;
      const body = this.#received.toString("utf8", header + 4, header + 4 + length);
      this.#received = this.#received.subarray(header + 4 + length);
      this.#handle(JSON.parse(body) as Reply & { readonly id?: number; readonly method?: string });
    }
  }

  #handle(message: Reply & { readonly id?: number; readonly method?: string }): void {
    if (message.id === undefined) return;
    // What the server asks (to watch files, for settings) is answered with nothing.
    if (message.method !== undefined) this.#send({ id: message.id, result: null });
    else {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    }
  }
}

function positionOf(text: string, at: number): Position {
  const before = text.slice(0, at).split("\n");
  return { line: before.length - 1, character: before.at(-1)!.length };
}

function offsetOf(text: string, { line, character }: Position): number {
  return text.split("\n").slice(0, line).join("\n").length + (line > 0 ? 1 : 0) + character;
}
