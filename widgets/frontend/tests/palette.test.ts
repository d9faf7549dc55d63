import { describe, expect, it } from "vitest";
import { CIVIDIS, luminance, scoreColour, tieColour, tieGlyph } from "../src/shared/palette";

describe("colours that are data", () => {
  it("gives the ends of cividis for 0 and 1 and clamps what lies outside", () => {
    expect([scoreColour(0), scoreColour(1)]).toEqual([CIVIDIS[0], CIVIDIS[CIVIDIS.length - 1]]);
    expect([scoreColour(-3), scoreColour(7), scoreColour(Number.NaN)]).toEqual([
      scoreColour(0),
      scoreColour(1),
      scoreColour(0),
    ]);
  });

  it("grows lighter with the score, all the way", () => {
    const light = Array.from({ length: 101 }, (_, i) => luminance(scoreColour(i / 100)));
    expect(light.every((value, i) => i === 0 || value >= (light[i - 1] ?? 0))).toBe(true);
  });

  it("counts ties from 1 and repeats after six", () => {
    expect(tieColour(1)).toBe("#0072b2");
    expect(tieColour(7)).toBe(tieColour(1));
    expect(tieColour(0)).toBe(tieColour(6));
  });

  it("writes numbers in circles while Unicode has them", () => {
    expect([tieGlyph(1), tieGlyph(20), tieGlyph(21)]).toEqual(["①", "⑳", "21"]);
  });
});
