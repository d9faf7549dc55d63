// How long things take to move, and how they start and stop; nothing moves where motion is not wanted.

export const GLIDE_MS = 180;

/** Quick off, soft landing; 0 before the start, 1 after the end. */
export function ease(t: number): number {
  const part = Math.min(1, Math.max(0, t));
  return 1 - (1 - part) ** 3;
}

export function reducedMotion(): boolean {
  return typeof matchMedia === "function" && matchMedia("(prefers-reduced-motion: reduce)").matches;
}
