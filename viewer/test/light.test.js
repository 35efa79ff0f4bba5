import assert from "node:assert/strict";
import { test } from "node:test";

import { fromPad, inWords, MAX_REACH, shade, toPad, toward } from "../src/light.js";

test("pad and light are each other's inverse", () => {
  for (const [x, y] of [[0, 0], [0.3, -0.5], [-0.9, 0.2], [0, 0.97]]) {
    const back = toPad(fromPad(x, y, 0.4, 0.6));
    assert.ok(Math.hypot(back.x - x, back.y - y) < 1e-12);
  }
});

test("the pad ends before the light would come from behind", () => {
  const light = fromPad(3, 4, 0, 1);
  assert.ok(light.every(Number.isFinite));
  assert.ok(Math.abs(Math.hypot(toPad(light).x, toPad(light).y) - MAX_REACH) < 1e-12);
});

test("the papers' numbers: dy > 0 is from above, dx > 0 from the left", () => {
  assert.ok(toward([0, 1, 0, 1])[1] < 0);
  assert.ok(toward([0, 1, 1, 0])[0] < 0);
  assert.equal(inWords([0, 1, 1, 1]), "light from above left, 55°");
  assert.equal(inWords([0, 1, -1, 0]), "light from right, 45°");
  assert.equal(inWords([0, 1, 0, 0]), "light from the front");
});

test("shading is ambient + diffuse x max(0, n . l)", () => {
  const light = [0.3, 0.5, 0.7, -0.2];
  const facing = toward(light);
  assert.ok(Math.abs(shade(light, facing) - 0.8) < 1e-12);
  assert.equal(shade(light, facing.map((value) => -value)), 0.3);
  assert.equal(shade([0.3, 0, 0.7, -0.2], facing), 0.3);
});
