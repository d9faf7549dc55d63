/** A state of each panel of the whole studio. */
export interface Scene {
  topbar: object;
  outline: object;
  canvas: object;
  inspector: object;
  history: object;
  report: object;
  /** The prompt bench, where it is open. */
  prompt?: object;
}
