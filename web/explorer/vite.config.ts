import { defineConfig } from "vite";

// One script and one style sheet, without a hash in their names. The page inlines both.
export default defineConfig({
  build: {
    target: "es2022",
    outDir: "../../src/latently/explorer/assets",
    emptyOutDir: false,
    cssCodeSplit: false,
    lib: { entry: "src/main.ts", formats: ["iife"], name: "explorer", fileName: () => "explorer.js", cssFileName: "explorer" },
  },
});
