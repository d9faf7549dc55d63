/** The text of a script for a worker, bundled by inline_worker.mjs; empty in tests. */
declare module "worker:*" {
  const source: string;
  export default source;
}
