import assert from "node:assert/strict";
import { test } from "node:test";

import { atVertices, between, coordinates, lines, points, positions, triangles } from "../src/grid.js";
import { stem } from "../src/save.js";

test("a plane is read exactly, and pixels keep their values", () => {
  const [side, grid] = [4, 13];
  const plane = Array.from({ length: side * side }, (_, i) => 2 * (i % side) - 3 * Math.floor(i / side));
  const read = atVertices(plane, side, grid);
  for (let i = 0; i < grid * grid; i++)
    assert.ok(Math.abs(read[i] - (2 * (i % grid) - 3 * Math.floor(i / grid)) / 4) < 1e-5);
});

test("the corners lie on rays of half the opening angle", () => {
  const depth = new Float32Array(25).fill(2);
  const at = positions(depth, 5, 10);
  const wide = 2 * Math.tan((5 * Math.PI) / 180);
  [-wide, -wide, 2].forEach((value, i) => assert.ok(Math.abs(at[i] - value) < 1e-6));
  [0, 0, 2].forEach((value, i) => assert.ok(Math.abs(at[3 * 12 + i] - value) < 1e-6));
});

test("the corner vertices lie on corner texels' centres", () => {
  const at = coordinates(9, 3);
  assert.ok(Math.abs(at[0] - 1 / 6) < 1e-6);
  assert.ok(Math.abs(at[2 * 80] - 5 / 6) < 1e-6);
  assert.ok(Math.abs(at[2 * 80 + 1] - 5 / 6) < 1e-6);
});

test("coordinates on one texture are those of the same vertex on another", () => {
  const [factor, offset] = between(64, 300);
  const [coarse, fine] = [coordinates(9, 64), coordinates(9, 300)];
  coarse.forEach((value, i) => assert.ok(Math.abs(value * factor + offset - fine[i]) < 1e-6));
});

test("a whole grid has all its triangles, wound one way, and a hole none", () => {
  const grid = 5;
  const whole = triangles(new Float32Array(25).fill(1), grid);
  assert.equal(whole.length, 3 * 2 * 16);
  const at = positions(new Float32Array(25).fill(1), grid, 10);
  for (let i = 0; i < whole.length; i += 3) {
    const [a, b, c] = [0, 1, 2].map((k) => [at[3 * whole[i + k]], at[3 * whole[i + k] + 1]]);
    assert.ok((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) < 0); // y is down: toward the camera
  }
  assert.equal(triangles(new Float32Array(25), grid).length, 0);
  assert.equal(lines(new Float32Array(25).fill(1), grid, 2).length, 2 * 2 * 3 * 4);
  assert.deepEqual([...points(new Float32Array(25).fill(1), grid, 4)], [0, 4, 20, 24]);
});

test("file names are plain", () => {
  assert.equal(stem("../a b<c>.tar.png"), "a_b_c_tar");
  assert.equal(stem("<>"), "object");
  assert.ok(stem("x".repeat(300)).length <= 60);
});
