// The opened block's frame: its ground, its header, and the dotted guides from where it belongs.
import { FONTS, type SceneCard } from "../scene";
import { type Look, READABLE } from "./look";
import { type Context, fitted, readable, roundBox } from "./pen";

export function drawGuides(context: Context, card: SceneCard, look: Look): void {
  context.strokeStyle = look.theme.edge;
  context.lineWidth = 1.2;
  context.setLineDash([2, 3]);
  context.beginPath();
  for (const [from, to] of card.guides) {
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
  }
  context.stroke();
  context.setLineDash([]);
}

export function drawCard(context: Context, card: SceneCard, look: Look): void {
  roundBox(context, card, 12);
  context.fillStyle = look.theme.surface;
  context.fill();
  context.strokeStyle = look.theme.edge;
  context.lineWidth = 1.2;
  context.stroke();
  if (look.zoom >= READABLE.title) drawHeader(context, card, look);
}

function drawHeader(context: Context, card: SceneCard, look: Look): void {
  const { theme, measure, zoom } = look;
  const header = readable(FONTS.header, zoom);
  const small = readable(FONTS.small, zoom);
  const fold = measure("fold", small.font);
  const line = card.y + 28.5;
  context.textAlign = "left";
  context.font = header.font;
  context.fillStyle = theme.ink;
  const title = fitted(card.title, header.font, card.w * 0.55, measure);
  context.fillText(title, card.x + 18, line);
  const after = card.x + 18 + measure(title, header.font) + 12;
  const room = card.x + card.w - 32 - fold - 12 - after;
  context.font = small.font;
  context.fillStyle = theme.faint;
  if (room > 60) context.fillText(fitted(card.subtitle, small.font, room, measure), after, line);
  const hot = look.hovered === "fold";
  context.fillStyle = hot ? theme.accent : theme.soft;
  context.textAlign = "right";
  context.fillText("fold", card.x + card.w - 32, line);
  context.strokeStyle = hot ? theme.accent : theme.soft;
  context.lineWidth = 1.4;
  context.beginPath();
  context.moveTo(card.x + card.w - 26, line - 1.5);
  context.lineTo(card.x + card.w - 22, line - 5.5);
  context.lineTo(card.x + card.w - 18, line - 1.5);
  context.stroke();
}
