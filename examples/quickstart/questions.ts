/**
 * Questions that the quickstart learns from: sums and facts, each asked in many ways. Some ways of asking are held out:
 * whoever answers those has learnt what is asked for, not the sentence.
 */
import { uniformAt } from "@weft/qwen3";

export interface Question {
  /** `fact` and `sum`: the answer occurs in other words among those to learn from. `new sum`: these numbers never do. */
  readonly kind: "fact" | "sum" | "new sum";
  readonly text: string;
  readonly answer: string;
}

export interface Questions {
  readonly learnt: readonly Question[];
  readonly heldOut: readonly Question[];
}

const animals: Readonly<Record<string, readonly [legs: string, food: string, home: string, color: string]>> =
  {
    cow: ["four", "grass", "farm", "brown"],
    hen: ["two", "corn", "farm", "white"],
    spider: ["eight", "flies", "web", "black"],
    bee: ["six", "nectar", "hive", "yellow"],
    owl: ["two", "mice", "forest", "gray"],
    fox: ["four", "hens", "forest", "red"],
    frog: ["four", "flies", "pond", "green"],
    ant: ["six", "crumbs", "nest", "black"],
    camel: ["four", "hay", "desert", "yellow"],
    penguin: ["two", "fish", "ice", "black"],
    crab: ["ten", "algae", "beach", "red"],
    panda: ["four", "bamboo", "mountains", "white"],
    wolf: ["four", "deer", "forest", "gray"],
    parrot: ["two", "seeds", "jungle", "green"],
    beetle: ["six", "leaves", "garden", "black"],
    mouse: ["four", "cheese", "house", "gray"],
  };

/** `%` stands for the animal; of each list the attribute is the same. */
const factWays: readonly (readonly string[])[] = [
  [
    "How many legs does a % have?",
    "A % walks on how many legs?",
    "Count the legs of a %.",
    "Tell me the number of legs of a %.",
    "Legs of a %?",
    "If you see a %, how many legs do you see?",
  ],
  [
    "What does a % eat?",
    "Name the food of a %.",
    "What is the food of a %?",
    "A % is hungry. What does it eat?",
    "Food of a %?",
    "What should I feed a %?",
  ],
  [
    "Where does a % live?",
    "Name the home of a %.",
    "What is the home of a %?",
    "Where can I find a %?",
    "Home of a %?",
    "A % goes home. Where is that?",
  ],
  [
    "What color is a %?",
    "Name the color of a %.",
    "Which color does a % have?",
    "I paint a %. Which color do I need?",
    "Color of a %?",
    "Tell me the color of a %.",
  ],
];

const sumWays: readonly string[] = [
  "What is % plus %?",
  "Add % and %.",
  "% + % = ?",
  "How much is % and %?",
  "Sum of % and %?",
  "I have % and get %. How many?",
];

/** Of the ways to ask for one thing, each is held out with this probability; so are pairs of numbers. */
const heldOutShare = 0.15;

export interface QuestionOptions {
  /** The same seed shares the questions out in the same way. */
  readonly seed: number;
  /** How many animals there are to know of; default: all. */
  readonly animals?: number;
  /** Sums are of two numbers from 0 to this one. Default 9. */
  readonly largestTerm?: number;
}

/** All questions. */
export function makeQuestions({ seed, animals: count, largestTerm = 9 }: QuestionOptions): Questions {
  const learnt: Question[] = [];
  const heldOut: Question[] = [];
  let draws = 0;
  const isHeldOut = () => uniformAt(seed, draws++) < heldOutShare;
  /** One way at least is learnt. */
  const share = (ways: readonly string[], question: (way: string) => Question) => {
    const held = ways.map(isHeldOut);
    if (held.every(Boolean)) held[0] = false;
    for (const [index, way] of ways.entries()) (held[index] ? heldOut : learnt).push(question(way));
  };
  for (const [animal, attributes] of Object.entries(animals).slice(0, count)) {
    for (const [index, ways] of factWays.entries()) {
      const answer = attributes[index]!;
      share(ways, (way) => ({ kind: "fact", text: way.replace("%", animal), answer }));
    }
  }
  for (let a = 0; a <= largestTerm; a++) {
    for (let b = 0; b <= largestTerm; b++) {
      const answer = String(a + b);
      const fill = (way: string) => way.replace("%", String(a)).replace("%", String(b));
      if (isHeldOut()) {
        for (const way of sumWays) heldOut.push({ kind: "new sum", text: fill(way), answer });
      } else {
        share(sumWays, (way) => ({ kind: "sum", text: fill(way), answer }));
      }
    }
  }
  return { learnt, heldOut };
}

export interface Message {
  readonly role: "user" | "assistant";
  readonly content: string;
}

/** A conversation of two turns over any two of the questions. */
export function conversation(questions: readonly Question[], seed: number, index: number): Message[] {
  return [0, 1].flatMap((turn): Message[] => {
    const pick = Math.floor(uniformAt(seed, 2 * index + turn) * questions.length);
    const { text, answer } = questions[pick]!;
    return [
      { role: "user", content: text },
      { role: "assistant", content: answer },
    ];
  });
}
