// Run by the vitest of ../frontend, as biome is: nothing is installed twice.
export default { test: { environment: "happy-dom", include: ["tests/*.test.ts"], maxWorkers: 1 } };
