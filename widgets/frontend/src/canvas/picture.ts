// The whole picture as a PNG, asked for by an `ms-picture` event on the studio.
import { drawScene } from "./draw/draw";
import type { Look } from "./draw/look";
import { type Thread, threadExtent } from "./layout/threads";
import { around, type Box, type Scene } from "./scene";

const SCALE = 2;
const ROOM = 28;
/** Browsers refuse larger sides. */
const MOST_SIDE = 16_000;

/** The part of the world that is shown, and pixels per world pixel. */
export function pictureFrame(scene: Scene, threads: readonly Thread[]): { part: Box; scale: number } {
  const all = around([scene.bounds, ...threadExtent(threads)]);
  const part = { x: all.x - ROOM, y: all.y - ROOM, w: all.w + 2 * ROOM, h: all.h + 2 * ROOM };
  return { part, scale: Math.min(SCALE, MOST_SIDE / Math.max(part.w, part.h)) };
}

export function drawPicture(scene: Scene, threads: readonly Thread[], look: Look): HTMLCanvasElement {
  const { part, scale } = pictureFrame(scene, threads);
  const canvas = document.createElement("canvas");
  canvas.width = Math.ceil(part.w * scale);
  canvas.height = Math.ceil(part.h * scale);
  const context = canvas.getContext("2d");
  if (!context) return canvas;
  context.fillStyle = look.theme.ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.setTransform(scale, 0, 0, scale, -part.x * scale, -part.y * scale);
  // As one reads it at zoom 1, whatever the present zoom is; nothing is hovered in a picture.
  drawScene(
    context,
    scene,
    threads,
    { ...look, hovered: null, targetPath: null, lifted: [], faded: new Set(), zoom: 1, atAnyCost: true },
    part,
  );
  return canvas;
}

/** The name with `.png` at its end, without what a file's name may not hold. */
export function fileName(name: unknown): string {
  const text = typeof name === "string" ? name : "";
  const clean = [...text]
    .filter((letter) => letter >= " " && !'\\/:*?"<>|'.includes(letter))
    .join("")
    .trim();
  return clean === "" ? "model.png" : clean.toLowerCase().endsWith(".png") ? clean : `${clean}.png`;
}

/** Listens on the studio that `root` hangs in; call it again once the panel hangs in the page. */
export function hearPicture(root: HTMLElement, make: () => HTMLCanvasElement, signal: AbortSignal): boolean {
  const studio = root.closest(".ms-studio");
  if (!studio) return false;
  const onPicture = (event: Event) => {
    const detail = (event as CustomEvent<{ kind?: unknown; name?: unknown } | null>).detail;
    if (detail?.kind !== "png") return;
    make().toBlob((blob) => {
      if (blob) download(blob, fileName(detail.name));
    }, "image/png");
  };
  studio.addEventListener("ms-picture", onPicture, { signal });
  return true;
}

function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
