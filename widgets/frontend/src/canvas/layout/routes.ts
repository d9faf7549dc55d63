// Where the wires of a placed flow run: straight on, around what stands in the way, residual ones below.
import { type Box, bottom, centreX, centreY, type Point, right } from "../scene";
import { runOver, runsOver, wireLine } from "./clear";
import type { Wire } from "./flow";

const LANE_GAP = 11;
const LANE_FIRST = 26;
/** In a flow of thousands lanes are shared, or they would be taller than the flow. */
const MOST_LANES = 16;
const BEND = 6;
/** A wire stays this far from what it passes, and this far above or below what it goes round. */
const PASSED = 2;
const ROUND = 9;
/** With more nodes than this a wire takes the short way, whatever stands in it: every pair was looked at. */
const MOST_AVOIDED = 400;

export function route(
  boxes: readonly Box[],
  wires: readonly Wire[],
  lowest: number,
): { paths: Point[][]; foot: number } {
  const lanes = residualLanes(wires, boxes);
  const obstacles = boxes.length <= MOST_AVOIDED ? boxes : [];
  const paths = wires.map((wire) => {
    const from = boxes[wire.source] as Box;
    const to = boxes[wire.target] as Box;
    const lane = lanes.get(wire);
    return lane === undefined
      ? dataPoints(from, to, obstacles)
      : residualPoints(from, to, lowest + LANE_FIRST + lane * LANE_GAP);
  });
  let count = 0;
  for (const lane of lanes.values()) count = Math.max(count, lane + 1);
  return { paths, foot: count > 0 ? lowest + LANE_FIRST + (count - 1) * LANE_GAP : lowest };
}

/** Interval colouring: residual edges that overlap run in lanes of their own, short ones on top. */
export function residualLanes(wires: readonly Wire[], boxes: readonly Box[]): Map<Wire, number> {
  const spans = wires
    .filter((wire) => wire.residual)
    .map((wire) => {
      const from = boxes[wire.source] as Box;
      const to = boxes[wire.target] as Box;
      return { wire, start: Math.min(right(from), centreX(to)), end: Math.max(right(from), centreX(to)) };
    })
    .sort((a, b) => a.end - a.start - (b.end - b.start) || a.start - b.start);
  const lanes: { start: number; end: number }[][] = [];
  const result = new Map<Wire, number>();
  for (const span of spans) {
    let lane = lanes.findIndex((taken) => taken.every((t) => span.end < t.start || span.start > t.end));
    if (lane < 0) lane = lanes.length < MOST_LANES ? lanes.push([]) - 1 : MOST_LANES - 1;
    lanes[lane]?.push(span);
    result.set(span.wire, lane);
  }
  return result;
}

/** Leaves the wire after the source, runs below everything, rises into the target from below. */
function residualPoints(from: Box, to: Box, lane_y: number): Point[] {
  const x = right(from) + BEND;
  return [
    { x, y: centreY(from) },
    { x, y: lane_y },
    { x: centreX(to), y: lane_y },
    { x: centreX(to), y: bottom(to) },
  ];
}

/** A wire from side to side; one that would run through a node passes before, behind, above or below it. */
function dataPoints(from: Box, to: Box, all: readonly Box[]): Point[] {
  const start = { x: right(from), y: centreY(from) };
  const end = { x: to.x, y: centreY(to) };
  const others = all.filter((box) => box !== from && box !== to && box.x < end.x && right(box) > start.x);
  const inWay = new Set(runOver(wireLine([start, end]), others, PASSED));
  // The way round one node may lead through the next, which then is gone round as well.
  for (let size = -1; inWay.size > size; ) {
    if (inWay.size === 0) return [start, end];
    size = inWay.size;
    const ways = detours(start, end, [...inWay]);
    const free = ways.find((way) => !runsOver(wireLine(way), others));
    if (free) return free;
    for (const way of ways) for (const box of runOver(wireLine(way), others)) inWay.add(box);
  }
  return detours(start, end, [...inWay])[0] ?? [start, end];
}

/** Changing level before or behind what is in the way; else passing it, on the nearer side first. */
function detours(start: Point, end: Point, inWay: readonly Box[]): Point[][] {
  const first = Math.min(...inWay.map((box) => box.x)) - BEND;
  const last = Math.max(...inWay.map(right)) + BEND;
  const ways: Point[][] = [];
  if (first >= start.x + BEND) ways.push([start, { x: first, y: end.y }, end]);
  if (last <= end.x - BEND) ways.push([start, { x: last, y: start.y }, end]);
  const [above, below] = [
    Math.min(...inWay.map((box) => box.y)) - ROUND,
    Math.max(...inWay.map(bottom)) + ROUND,
  ];
  const middle = (start.y + end.y) / 2;
  const levels = Math.abs(above - middle) <= Math.abs(below - middle) ? [above, below] : [below, above];
  for (const y of levels) {
    const [x1, x2] = [Math.max(start.x, first), Math.min(end.x, last)];
    ways.push([start, { x: x1, y }, { x: x2, y }, end]);
  }
  return ways;
}
