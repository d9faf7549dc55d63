// Draws a scene: what is out of view is skipped, what is too small to read is left out.

import type { Thread } from "../layout/threads";
import { type Box, overlaps, type Scene, type SceneNode } from "../scene";
import { drawBlocks } from "./blocks";
import { drawCard, drawGuides } from "./card";
import { drawCells, drawFarCells } from "./cells";
import { drawDots } from "./dots";
import { alphaOf, detailOf, type Look } from "./look";
import { drawNode, drawStripTitle } from "./node";
import type { Context } from "./pen";
import { look as lookAt, makeSeen } from "./seen";
import { drawThreads } from "./threads";
import { drawWires } from "./wires";

const seen = makeSeen();

export function drawScene(
  context: Context,
  scene: Scene,
  threads: readonly Thread[],
  look: Look,
  view: Box,
): void {
  lookAt(scene, view, seen);
  look.detail = look.atAnyCost ? "near" : detailOf(look.zoom, seen.boxes);
  drawDots(context, look, view);
  drawWires(context, seen.edges, look, false);
  // One strip is the model's depth and needs no name; stages are told apart by theirs and by what they give.
  const several = scene.nodes.filter((node) => node.kind === "strip").length > 1;
  const named = (node: SceneNode) => node.kind === "strip" && (several || node.title.includes(" · "));
  if (look.detail !== "near") drawBlocks(context, seen.nodes, look);
  for (const node of seen.nodes) {
    context.globalAlpha = alphaOf(look, node.path, node.alpha);
    if (look.detail === "near") {
      drawNode(context, node, look, "overview");
      if (node.cells.length > 0) drawCells(context, node, look, view);
      if (named(node)) drawStripTitle(context, node, look);
    } else if (node.cells.length > 0) drawFarCells(context, node, look, view);
  }
  context.globalAlpha = 1;
  if (scene.card) {
    context.globalAlpha = scene.card.alpha ?? 1;
    drawGuides(context, scene.card, look);
    if (overlaps(scene.card, view)) {
      drawCard(context, scene.card, look);
      context.globalAlpha = 1;
      drawWires(context, seen.cardEdges, look, true);
      if (look.detail !== "near") drawBlocks(context, drawn(seen.cardNodes), look);
      else {
        for (const node of seen.cardNodes) {
          if (node.w === 0) continue;
          context.globalAlpha = alphaOf(look, node.path, node.alpha);
          drawNode(context, node, look, "open");
          if (node.cells.length > 0) drawCells(context, node, look, view);
          if (node.kind === "strip") drawStripTitle(context, node, look);
        }
      }
    }
    context.globalAlpha = 1;
  }
  drawThreads(context, threads, look, view);
}

/** Input and output of a card are places on its edge, with nothing to draw. */
function drawn<T extends Box>(nodes: T[]): T[] {
  return nodes.some((node) => node.w === 0) ? nodes.filter((node) => node.w > 0) : nodes;
}
