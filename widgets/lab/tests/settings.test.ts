import type { WidgetTracker } from "@jupyterlab/apputils";
import type { ISettingRegistry } from "@jupyterlab/settingregistry";
import { expect, it, vi } from "vitest";
import type { StudioTab } from "../src/panel";
import { Settings } from "../src/settings";

/** Studios whose kernels note what they are asked. */
function studios(...kernels: (boolean | null)[]) {
  const asked: string[] = [];
  const requestExecute = (request: { user_expressions: { answer: string } }) => {
    asked.push(request.user_expressions.answer);
    return { done: Promise.resolve({ content: { user_expressions: { answer: { status: "ok" } } } }) };
  };
  const tabs = kernels.map((has) => ({ content: { kernel: has ? { requestExecute } : null } }));
  const forEach = (act: (tab: unknown) => void) => tabs.forEach(act);
  return { asked, tracker: { forEach } as unknown as WidgetTracker<StudioTab> };
}

/** A registry that has these settings; `change` sets others. */
function registry(composite: object) {
  let told = () => {};
  const connect = (tell: () => void) => {
    told = tell;
  };
  const plugin = { composite, changed: { connect } };
  const load = vi.fn(async () => plugin);
  const change = (now: object) => {
    plugin.composite = now;
    told();
  };
  return { load, change, registry: { load } as unknown as ISettingRegistry };
}

it("are none, at once, where nothing keeps settings", async () => {
  const settings = new Settings(null, "id", studios().tracker);
  await settings.ready;
  expect(settings.text).toBe("{}");
});

it("are the user's over the defaults, as JSON, once they are loaded", async () => {
  const kept = registry({ budget: 5, device: "auto", autosave: "" });
  const settings = new Settings(kept.registry, "model-surgery:plugin", studios().tracker);
  expect(settings.text).toBe("{}");
  await settings.ready;
  expect(kept.load).toHaveBeenCalledWith("model-surgery:plugin");
  expect(JSON.parse(settings.text)).toEqual({ budget: 5, device: "auto", autosave: "" });
});

it("are told to every open studio that has a kernel, when they change", async () => {
  const kept = registry({ budget: 2 });
  const { asked, tracker } = studios(true, null, true);
  const settings = new Settings(kept.registry, "id", tracker);
  await settings.ready;
  expect(asked).toEqual([]);
  kept.change({ budget: 9 });
  expect(settings.text).toBe('{"budget":9}');
  expect(asked).toHaveLength(2);
  expect(asked[0]).toContain('.configure("{\\"budget\\":9}")');
});

it("are none where they cannot be loaded, and that is said", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const broken = { load: () => Promise.reject(new Error("no schema")) } as unknown as ISettingRegistry;
  const settings = new Settings(broken, "id", studios().tracker);
  await settings.ready;
  expect(settings.text).toBe("{}");
  expect(warn).toHaveBeenCalledOnce();
});
