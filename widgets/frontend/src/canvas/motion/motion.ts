// One picture turning into the next: what is to be seen at each moment of it.
import type { Thread } from "../layout/threads";
import type { Scene } from "../scene";
import { blend, worthMoving } from "./blend";
import { ease, GLIDE_MS, reducedMotion } from "./clock";
import { blendThreads, worthFading } from "./threads";

export interface Picture {
  scene: Scene;
  threads: Thread[];
}

export class Motion {
  private running: { from: Picture; start: number } | null = null;

  get isRunning(): boolean {
    return this.running !== null;
  }

  /** Lets the picture turn into `to`, where that helps the eye and motion is wanted. */
  begin(from: Picture, to: Picture, now: number): void {
    const moves =
      !reducedMotion() && (worthMoving(from.scene, to.scene) || worthFading(from.threads, to.threads));
    this.running = moves ? { from, start: now } : null;
  }

  stop(): void {
    this.running = null;
  }

  /** What is to be seen at this moment on the way to `to`. */
  shown(to: Picture, now: number): Picture {
    if (!this.running) return to;
    const { from, start } = this.running;
    const t = ease((now - start) / GLIDE_MS);
    if (t >= 1) {
      this.running = null;
      return to;
    }
    return { scene: blend(from.scene, to.scene, t), threads: blendThreads(from.threads, to.threads, t) };
  }
}
