import assert from "node:assert/strict";
import { test } from "node:test";

import { around, between, corner, litFrom, tiles, turnedTo, yawOf } from "../src/gan.js";
import { start } from "../src/state.js";

const VIEW = [0.05, 0.2, 0, 0, 0, 0];
const GAN = { yaw: [-0.5, 0, 0.5], around: [0, Math.PI / 2, Math.PI], reach: 0.8, columns: 3, rows: 2, tile: 8 };
const state = start({ light: [0.5, 0.4, 0.3, 0.4] });

test("between two of a row, at each of them, and beyond its ends", () => {
  assert.deepEqual(between([1, 3, 4], 2.5), { first: 0, second: 1, share: 0.75 });
  assert.deepEqual(between([1, 3, 4], 3), { first: 1, second: 2, share: 0 });
  assert.deepEqual(between([1, 3, 4], 9), { first: 2, second: 2, share: 0 });
  assert.deepEqual(between([1, 3, 4], -9), { first: 0, second: 0, share: 0 });
  assert.deepEqual(between([1], 2), { first: 0, second: 0, share: 0 });
  assert.deepEqual(between([1, 3], NaN), { first: 0, second: 0, share: 0 });
});

test("the object turned to a yaw has that yaw, whatever the pose it is shown in", () => {
  for (const canonical of [0, 0.4, 1]) {
    const told = turnedTo({ ...state, canonical, pitch: 1 }, VIEW, -0.3);
    assert.ok(Math.abs(yawOf(told, VIEW) + 0.3) < 1e-12);
    assert.equal(told.pitch, 0);
  }
  assert.equal(yawOf(state, VIEW), VIEW[1]); // as it opens: the photo's
});

test("a light from an angle is at that angle; from below it is at the nearer end", () => {
  for (const angle of [0, 0.3, Math.PI / 2, 2.9, Math.PI])
    assert.ok(Math.abs(around(litFrom(state, GAN, angle).light) - angle) < 1e-9);
  assert.equal(around([0, 1, 0.5, -0.1]), 0);
  assert.equal(around([0, 1, -0.5, -0.1]), Math.PI);
  assert.equal(around([0, 1, 0, 0]), Math.PI / 2);
  assert.deepEqual(litFrom(state, GAN, 1).light.slice(0, 2), [0.5, 0.4]);
});

test("lights stand behind the turns, and what was moved last is shown", () => {
  assert.deepEqual(tiles(turnedTo(state, VIEW, 0.25), VIEW, GAN), { first: 1, second: 2, share: 0.5 });
  assert.deepEqual(tiles(litFrom(state, GAN, 0), VIEW, GAN), { first: 3, second: 3, share: 0 });
  const { first, second } = tiles(litFrom(state, GAN, 3 * Math.PI / 4), VIEW, GAN);
  assert.deepEqual([first, second], [4, 5]);
  assert.deepEqual([0, 2, 3, 5].map((place) => corner(GAN, place)), [[0, 0], [2, 0], [0, 1], [2, 1]]);
});
