/** A model without Python behind it: keeps what is sent, and tells of what is set. */
export class StubModel {
  readonly sent: unknown[] = [];
  private readonly listeners = new Set<() => void>();

  constructor(
    private state: unknown,
    private readonly onSend: (message: unknown) => void = () => {},
  ) {}

  /** It has a state and no text of the module: layouts are made in place. */
  get(key: string): unknown {
    return key === "state" ? this.state : undefined;
  }
  set(state: unknown): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
  on(_event: string, callback: () => void): void {
    this.listeners.add(callback);
  }
  off(_event: string, callback: () => void): void {
    this.listeners.delete(callback);
  }
  send(message: unknown): void {
    this.sent.push(message);
    this.onSend(message);
  }
}
