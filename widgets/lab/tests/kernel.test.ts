import type { Kernel } from "@jupyterlab/services";
import { describe, expect, it } from "vitest";
import { ask, call, showing } from "../src/kernel";

/** A kernel that answers every question with `content`; `asked` has the questions. */
function answering(content: unknown) {
  const asked: unknown[] = [];
  const requestExecute = (request: unknown) => {
    asked.push(request);
    return { done: Promise.resolve({ content }) };
  };
  return { asked, kernel: { requestExecute } as unknown as Kernel.IKernelConnection };
}

describe("code for a kernel", () => {
  it("passes texts as literals, whatever is in them", () => {
    const name = 'a "quoted"\nname\\';
    const code = call("show", name, "{}");
    expect(code).toContain('.show("a \\"quoted\\"\\nname\\\\", "{}")');
    expect(code).not.toContain("\n");
  });

  it("takes the working folder off the path of a kernel of its own, before anything is imported", () => {
    const code = showing({ kind: "source", source: "model.safetensors" }, '{"budget":2}');
    const [first, second] = code.split("\n");
    expect(first).toBe("import sys");
    expect(second).toMatch(/^sys\.path\[:\] = /);
    expect(code).toContain('.show("model.safetensors", "{\\"budget\\":2}")');
  });

  it("leaves the path of a notebook's kernel as it is", () => {
    const code = showing({ kind: "variable", notebook: "a.ipynb", variable: "model" }, "{}");
    expect(code).toMatch(/\.show_variable\("model", "\{\}"\)$/);
    expect(code).not.toContain("sys.path");
  });
});

describe("a question", () => {
  it("is counted as no cell, and answered by JSON", async () => {
    const data = { "application/json": { answer: ["model"] } };
    const { asked, kernel } = answering({ user_expressions: { answer: { status: "ok", data } } });
    expect(await ask(kernel, call("variables"))).toEqual(["model"]);
    expect(asked).toMatchObject([{ code: "", silent: true, store_history: false }]);
  });

  it("fails with what the kernel says of it, or with a sentence", async () => {
    const refused = { user_expressions: { answer: { status: "error", evalue: "no such name" } } };
    await expect(ask(answering(refused).kernel, "1")).rejects.toThrow("no such name");
    await expect(ask(answering({ evalue: "interrupted" }).kernel, "1")).rejects.toThrow("interrupted");
    await expect(ask(answering({}).kernel, "1")).rejects.toThrow("the kernel did not answer");
  });
});
