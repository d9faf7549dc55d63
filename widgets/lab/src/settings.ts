// What the user set, as the text that kernels are given; open studios are told when it changes.
import type { WidgetTracker } from "@jupyterlab/apputils";
import type { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ask, call } from "./kernel";
import type { StudioTab } from "./panel";

export class Settings {
  /** Resolves when they are known, or will never be. */
  readonly ready: Promise<void>;

  constructor(
    registry: ISettingRegistry | null,
    id: string,
    private readonly tracker: WidgetTracker<StudioTab>,
  ) {
    this.ready = registry ? this._load(registry, id) : Promise.resolve();
  }

  /** As JSON, which the kernel's side checks. */
  get text(): string {
    return this._text;
  }

  private async _load(registry: ISettingRegistry, id: string): Promise<void> {
    try {
      const settings = await registry.load(id);
      this._text = JSON.stringify(settings.composite);
      settings.changed.connect(() => {
        this._text = JSON.stringify(settings.composite);
        this.tracker.forEach((tab) => void this._tell(tab));
      });
    } catch (error) {
      console.warn("Model Surgery goes by its own settings:", error);
    }
  }

  private async _tell(tab: StudioTab): Promise<void> {
    const { kernel } = tab.content;
    if (kernel) await ask(kernel, call("configure", this._text)).catch(() => undefined);
  }

  private _text = "{}";
}
