// node validate.cjs FILE...: prints a JSON object, file to the validator's report.
const { readFileSync } = require("node:fs");
const { validateBytes } = require("gltf-validator");

async function main(paths) {
  const reports = {};
  for (const path of paths) {
    reports[path] = await validateBytes(new Uint8Array(readFileSync(path)), { maxIssues: 0 });
  }
  process.stdout.write(JSON.stringify(reports));
}

main(process.argv.slice(2));
