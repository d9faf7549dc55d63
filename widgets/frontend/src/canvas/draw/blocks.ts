// Nodes as blocks of colour, where there are too many or they are too small for outlines and texts.
import type { SceneNode } from "../scene";
import { colourOf, type Look } from "./look";
import type { Context } from "./pen";

/** In passes of one colour each: changing it costs more than filling a box. */
export function drawBlocks(context: Context, nodes: readonly SceneNode[], look: Look): void {
  const { theme, zoom, scores } = look;
  const outlined = look.detail === "plain";
  const least = 1 / zoom;
  context.fillStyle = theme.edge;
  for (const node of nodes) {
    // Far off a score fills its node, so that nothing would be seen of what is under it.
    if (outlined || !scores?.has(node.path)) {
      context.fillRect(node.x, node.y, Math.max(least, node.w), Math.max(least, node.h));
    }
  }
  if (outlined) {
    const line = Math.max(1.3, least);
    context.fillStyle = theme.raised;
    for (const node of nodes) {
      if (node.w > 3 * line && node.h > 3 * line) {
        context.fillRect(node.x + line, node.y + line, node.w - 2 * line, node.h - 2 * line);
      }
    }
  }
  for (const node of nodes) {
    if (node.opaque !== null) {
      context.fillStyle = theme.faint;
      context.fillRect(node.x + node.w * 0.2, node.y + node.h * 0.42, node.w * 0.6, node.h * 0.16);
    }
    const score = scores?.get(node.path);
    if (score !== undefined) {
      context.fillStyle = colourOf(score);
      context.fillRect(node.x, node.y, outlined ? Math.max(4, 2 * least) : node.w, node.h);
    }
    const wrong = node.error !== null || (node.path !== "" && look.alertPath === node.path);
    const strong = look.selection.has(node.path) || (node.path !== "" && look.targetPath === node.path);
    if (!wrong && !strong) continue;
    context.strokeStyle = wrong ? theme.worse : theme.accent;
    context.lineWidth = 2.4 * least;
    context.strokeRect(node.x, node.y, node.w, node.h);
  }
}
