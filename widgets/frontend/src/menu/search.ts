// Which commands a few typed letters mean, the likeliest first.
import type { Command } from "./protocol";

/** Commands in which every typed word is found, in their order; those that can be run now come first. */
export function found(commands: readonly Command[], typed: string): Command[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = commands
    .map((command) => ({ command, score: scoreOf(command, words) }))
    .filter((item) => item.score > 0);
  const rank = ({ command, score }: (typeof scored)[number]) => score - (command.reason === null ? 0 : 100);
  return scored.sort((a, b) => rank(b) - rank(a)).map((item) => item.command);
}

/** 0 where a word is nowhere in it; more for the beginning of the title than for its middle or the summary. */
function scoreOf(command: Command, words: readonly string[]): number {
  const title = command.title.toLowerCase();
  const about = `${command.group} ${command.name} ${command.summary}`.toLowerCase();
  let score = 1;
  for (const word of words) {
    if (title.startsWith(word)) score += 8;
    else if (title.includes(` ${word}`)) score += 6;
    else if (title.includes(word)) score += 4;
    else if (about.includes(word)) score += 1;
    else return 0;
  }
  return score;
}

/** The commands about a selection that fit it, by group, a few of each; the palette has them all. */
export function offered(commands: readonly Command[], most = 4): { group: string; commands: Command[] }[] {
  const groups = new Map<string, Command[]>();
  for (const command of commands) {
    if (command.about !== "selection" || command.reason !== null) continue;
    const group = groups.get(command.group) ?? [];
    groups.set(command.group, [...group, command]);
  }
  return [...groups].map(([group, members]) => ({ group, commands: members.slice(0, most) }));
}
