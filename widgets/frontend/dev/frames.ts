// Pans and zooms the canvas by script and tells how long each frame took; benchmarks/studio calls it.

type Where = "whole" | "near";
type Way = "pan" | "zoom";

const nextFrame = () => new Promise<number>((resolve) => requestAnimationFrame(resolve));

function wheel(canvas: HTMLCanvasElement, deltaY: number, x: number, y: number): void {
  canvas.dispatchEvent(
    new WheelEvent("wheel", {
      deltaY,
      clientX: x,
      clientY: y,
      bubbles: true,
      cancelable: true,
      view: window,
    }),
  );
}

/** A place on free ground, where a press pans; the canvas shows a hand over everything else. */
function ground(canvas: HTMLCanvasElement, box: DOMRect): { x: number; y: number } {
  for (let y = box.top + 80; y < box.bottom - 60; y += 7) {
    for (let x = box.left + 90; x < box.right - 90; x += 7) {
      canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
      if (canvas.style.cursor === "") return { x, y };
    }
  }
  throw new Error("no free ground in view");
}

/** Milliseconds between frames, all in view first: by `steps` of the wheel out, or in for a near look. */
export async function measureFrames(where: Where, way: Way, frames: number, steps: number) {
  const canvas = document.querySelector<HTMLCanvasElement>(".ms-canvas canvas");
  if (!canvas) throw new Error("no canvas");
  const box = canvas.getBoundingClientRect();
  const middle = { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "f" }));
  for (let i = 0; i < 30; i++) await nextFrame();
  for (let i = 0; i < steps; i++) {
    wheel(canvas, where === "whole" ? 100 : -100, middle.x, middle.y);
    await nextFrame();
  }
  const map = document.querySelector<HTMLCanvasElement>(".ms-map");
  const { left, top, width, height } = (map ?? canvas).getBoundingClientRect();
  map?.dispatchEvent(
    new PointerEvent("pointermove", { clientX: left + width / 2, clientY: top + height / 2, buttons: 1 }),
  );
  await nextFrame();
  const from = way === "pan" ? ground(canvas, box) : middle;
  const mouse = (type: string, x: number, y: number) =>
    (type === "mousedown" ? canvas : window).dispatchEvent(
      new MouseEvent(type, { clientX: x, clientY: y, button: 0, buttons: 1, bubbles: true, view: window }),
    );
  if (way === "pan") mouse("mousedown", from.x, from.y);
  const taken: number[] = [];
  let last = await nextFrame();
  for (let i = 0; i < frames; i++) {
    if (way === "pan") mouse("mousemove", from.x + 80 * Math.sin(i / 9), from.y + 50 * Math.sin(i / 7));
    else wheel(canvas, i % 40 < 20 ? -24 : 24, middle.x, middle.y);
    const now = await nextFrame();
    taken.push(now - last);
    last = now;
  }
  if (way === "pan") mouse("mouseup", from.x, from.y);
  return taken;
}
