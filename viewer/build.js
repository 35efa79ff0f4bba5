// Builds the viewer and the gallery's script into the package's assets: one file each, licence texts at the end.

import { readFileSync } from "node:fs";
import { build } from "esbuild";

const assets = new URL("../src/bozzetto/assets/", import.meta.url);
const licence = readFileSync(new URL("node_modules/three/LICENSE", import.meta.url), "utf8").trim();
const shared = { bundle: true, minify: true, format: "iife", target: "es2021", charset: "ascii", legalComments: "none" };

await build({
  ...shared,
  entryPoints: ["src/main.js"],
  outfile: new URL("viewer.js", assets).pathname,
  footer: { js: `/* This page contains three.js.\n\n${licence}\n*/` },
});

await build({
  ...shared,
  entryPoints: ["src/gallery.js"],
  outfile: new URL("gallery.js", assets).pathname,
});
