/** Asks a model questions in chat, one that is loaded or one that learns, and counts the answers right to the letter. */
import { type LanguageModel, Session } from "@weft/qwen3";
import type { Question } from "./questions.ts";

export interface Score {
  readonly kind: Question["kind"];
  readonly right: number;
  readonly asked: number;
}

/** The answer to one more turn of a conversation. */
export async function ask(session: Session, question: string): Promise<string> {
  let answer = "";
  for await (const { text } of session.send(question)) answer += text;
  return answer.trim();
}

export const openSession = (model: LanguageModel): Session =>
  new Session(model, { temperature: 0, maxTokens: 8 });

/** Each question in a conversation of its own. */
export async function score(model: LanguageModel, questions: readonly Question[]): Promise<Score[]> {
  const scores = new Map<Question["kind"], { right: number; asked: number }>();
  for (const { kind, text, answer } of questions) {
    using session = openSession(model);
    const counted = scores.get(kind) ?? { right: 0, asked: 0 };
    counted.asked++;
    if ((await ask(session, text)) === answer) counted.right++;
    scores.set(kind, counted);
  }
  return [...scores].map(([kind, counted]) => ({ kind, ...counted }));
}
