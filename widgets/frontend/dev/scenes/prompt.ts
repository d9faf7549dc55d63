// The prompt bench over the graph. All figures are invented.
import { demo } from "./decoder";
import type { Scene } from "./scene";

const LEGEND = ["under 0.01", "from 0.01", "from 0.1", "from 0.5", "from 2"];
const written = (text: string, levels: string) =>
  [...text].map((char, i) => ({
    text: char === " " ? "·" : char === "\n" ? "↵" : char,
    level: Number(levels[i] ?? 0),
    tip: `position ${i}, “${char}”: KL 0.149 nats; original 62.1 %, edited 8.3 %`,
    breaks: char === "\n",
  }));

const base = {
  open: true,
  takes: "text",
  examples: 0,
  writes: true,
  prompt: "The for statement is",
  tokens: 64,
  temperature: 0,
  seed: 0,
  running: false,
  legend: LEGEND,
  notes: [] as string[],
};

const step = (number: number, words: string, part: number, figure: string, gain: string) => ({
  number,
  words,
  part,
  figure,
  gain,
  refused: null as string | null,
});
export const answered = {
  ...base,
  asked: "The for statement is",
  columns: [
    {
      side: "original",
      title: "Original",
      tokens: written(
        " used to iterate over the elements of\na sequence (such as a string, tup",
        "00112000100020000010000300000000100000110002000001000030000000010",
      ),
    },
    {
      side: "edited",
      title: "Edited",
      tokens: written(
        " used to format the statement of the\nformat of the strings and the stat",
        "0011200010034122201300420000000012000001300020000100003000000001000",
      ),
    },
  ],
  divergence: 9,
  sentence: "They part at position 9: “i” became “f”. Greedy.",
  chosen: { side: "original", position: 9 },
  blame: {
    title: "Position 9, where the original says “i”: KL 0.149 nats",
    sentence:
      "The bars add up to 0.038, the effect is 0.149: what steps do together is in several of them, or in none.",
    steps: [
      step(1, "remove layers[3]", -0.68, "−0.0779 (−40 %)", "−0.117"),
      step(2, "scale layers[6].mlp factor 0.3", 1, "+0.115 (60 %)", "+0.51"),
      {
        ...step(3, "duplicate layers[4]", 0, "", ""),
        refused: "Step 4 cannot be made without it: it works on what it made.",
      },
      step(4, "scale layers[5].mlp factor 0.9", 0.02, "+0.0023 (1 %)", "+0.01"),
    ],
  },
};

const choice = (name: string, from: number, to: number, rank: string) => ({
  name,
  before: `${(100 * from).toFixed(1)} %`,
  after: `${(100 * to).toFixed(1)} %`,
  from,
  to,
  rank,
});
export const pictured = {
  ...base,
  takes: "image",
  writes: false,
  examples: 449,
  example: 3,
  asked: "image 3",
  rows_title: "Classes of image 3",
  rows: [
    choice("1", 0.981, 0.341, "1"),
    choice("8", 0.011, 0.16, "4 → 2"),
    choice("2", 0.004, 0.154, "8 → 3"),
    choice("5", 0.002, 0.093, "6 → 4"),
  ],
  sentence: "KL(original ‖ edited) 1.07 nats. Right is 1.",
};

export const prompts: Record<string, Scene> = {
  prompt: { ...demo, prompt: answered },
  prompt_image: { ...demo, prompt: pictured },
  prompt_first: { ...demo, prompt: { ...base, prompt: "" } },
};
