// An esbuild plugin: `import source from "worker:./x.ts"` is the text of x, bundled as a worker's script.
import { resolve } from "node:path";
import * as esbuild from "esbuild";

export const inlineWorker = {
  name: "inline-worker",
  setup(build) {
    build.onResolve({ filter: /^worker:/ }, ({ path, resolveDir }) => ({
      path: resolve(resolveDir, path.slice("worker:".length)),
      namespace: "worker",
    }));
    build.onLoad({ filter: /.*/, namespace: "worker" }, async ({ path }) => {
      const { outputFiles, metafile } = await esbuild.build({
        absWorkingDir: build.initialOptions.absWorkingDir,
        entryPoints: [path],
        bundle: true,
        format: "iife",
        target: "es2022",
        minify: true,
        legalComments: "none",
        write: false,
        metafile: true,
      });
      const watchFiles = Object.keys(metafile.inputs).map((file) =>
        resolve(build.initialOptions.absWorkingDir, file),
      );
      return { contents: outputFiles[0].text, loader: "text", watchFiles };
    });
  },
};
