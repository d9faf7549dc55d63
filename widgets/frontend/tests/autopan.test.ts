import { describe, expect, it } from "vitest";
import { AutoPan, panSpeed, within } from "../src/canvas/gestures/autopan";

const size = { w: 800, h: 500 };

/** Frames that come when they are told to. */
function panning() {
  let waiting: ((now: number) => void) | null = null;
  const moves: [number, number][] = [];
  const pan = new AutoPan({
    size: () => size,
    pan: (dx, dy) => moves.push([dx, dy]),
    frames: {
      request: (step) => {
        waiting = step;
        return 1;
      },
      cancel: () => {
        waiting = null;
      },
    },
  });
  const frame = (now: number) => {
    const step = waiting;
    waiting = null;
    step?.(now);
  };
  return { pan, moves, frame, isWaiting: () => waiting !== null };
}

describe("the speed of panning", () => {
  it("is nothing in the middle and outside, and grows towards each edge", () => {
    expect(panSpeed({ x: 400, y: 250 }, size)).toEqual({ x: 0, y: 0 });
    expect(panSpeed({ x: -5, y: 250 }, size)).toEqual({ x: 0, y: 0 });
    const left = [40, 20, 0].map((x) => panSpeed({ x, y: 250 }, size).x);
    expect(left[0]).toBeLessThan(0);
    expect(left[1]).toBeLessThan(left[0] as number);
    expect(left[2]).toBeLessThan(left[1] as number);
    expect(panSpeed({ x: 800, y: 250 }, size).x).toBe(-(left[2] as number));
    expect(panSpeed({ x: 400, y: 495 }, size).y).toBeGreaterThan(0);
  });

  it("leaves a calm middle in a canvas that is small", () => {
    expect(panSpeed({ x: 30, y: 30 }, { w: 60, h: 60 })).toEqual({ x: 0, y: 0 });
  });
});

describe("panning while one drags", () => {
  it("goes on from frame to frame while the pointer rests near an edge", () => {
    const { pan, moves, frame, isWaiting } = panning();
    pan.dragTo({ x: 795, y: 250 });
    for (const now of [1000, 1016, 1032]) frame(now);
    expect(moves).toHaveLength(2);
    expect(moves.every(([dx, dy]) => dx > 0 && dy === 0)).toBe(true);
    expect(isWaiting()).toBe(true);
  });

  it("does not jump after a frame that came late", () => {
    const { pan, moves, frame } = panning();
    pan.dragTo({ x: 800, y: 250 });
    for (const now of [1000, 9000]) frame(now);
    expect(moves[0]?.[0]).toBeLessThan(60);
  });

  it("stops at once when the pointer leaves the edge or the canvas, and when it is let go", () => {
    for (const end of [
      (pan: AutoPan) => pan.dragTo({ x: 400, y: 250 }),
      (pan: AutoPan) => pan.dragTo({ x: 900, y: 250 }),
      (pan: AutoPan) => pan.stop(),
    ]) {
      const { pan, moves, frame, isWaiting } = panning();
      pan.dragTo({ x: 795, y: 250 });
      for (const now of [1000, 1016]) frame(now);
      const before = moves.length;
      end(pan);
      expect(isWaiting()).toBe(false);
      frame(1032);
      expect(moves).toHaveLength(before);
    }
  });
});

describe("how far the view moves", () => {
  it("is no further than that the picture reaches the middle", () => {
    expect(within(30, 0, 700, 800)).toBe(30);
    expect(within(30, -900, 410, 800)).toBe(10);
    expect(within(30, -900, 300, 800)).toBe(0);
    expect(within(-30, 390, 900, 800)).toBe(-10);
    expect(within(-30, 500, 900, 800)).toBe(0);
  });
});
