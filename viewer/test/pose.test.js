import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_PITCH, motion, multiply, rotation, shownMotion, turned } from "../src/pose.js";

const VIEW = [0.3, -0.4, 0.2, 0.01, -0.02, 0.03];
const apply = (m, [x, y, z]) => [0, 1, 2].map((i) => m[4 * i] * x + m[4 * i + 1] * y + m[4 * i + 2] * z + m[4 * i + 3]);
const close = (a, b, slack = 1e-12) => a.forEach((value, i) => assert.ok(Math.abs(value - b[i]) < slack, `${a} ${b}`));

test("a rotation keeps lengths and angles and does not mirror", () => {
  const r = rotation(VIEW);
  for (const [i, row] of r.entries())
    for (const [j, other] of r.entries()) {
      const dot = row[0] * other[0] + row[1] * other[1] + row[2] * other[2];
      assert.ok(Math.abs(dot - (i === j ? 1 : 0)) < 1e-12);
    }
  const [a, b, c] = r;
  const det =
    a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0]);
  assert.ok(Math.abs(det - 1) < 1e-12);
});

test("the pivot moves by the translation alone", () => close(apply(motion(VIEW), [0, 0, 1]), [0.01, -0.02, 1.03]));

test("single turns go the documented ways", () => {
  assert.ok(apply(motion([0.1, 0, 0, 0, 0, 0]), [0, -0.1, 1])[2] < 1); // rx > 0 nods the top toward the camera
  assert.ok(apply(motion([0, 0.1, 0, 0, 0, 0]), [0, 0, 0.9])[0] < 0); // ry > 0 moves the near side to the left
  assert.ok(apply(motion([0, 0, 0.1, 0, 0, 0]), [0, -0.1, 1])[0] > 0); // rz > 0 turns clockwise in the picture
});

test("the order is x, then y, then z", () => {
  const one = (i) => motion([0, 1, 2, 3, 4, 5].map((k) => (k === i ? VIEW[k] : 0)));
  close(multiply(one(2), multiply(one(1), one(0))).slice(0, 3), motion(VIEW).slice(0, 3));
});

test("shown are the photo's pose, the frontal one, and turns by hand after either", () => {
  const still = { canonical: 0, yaw: 0, pitch: 0 };
  close(shownMotion(VIEW, still), motion(VIEW));
  close(shownMotion(VIEW, { ...still, canonical: 1 }), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
  close(shownMotion(VIEW, { canonical: 1, yaw: 0.5, pitch: 0 }), motion([0, 0.5, 0, 0, 0, 0]));
});

test("yaw goes round and pitch stops", () => {
  const state = turned({ yaw: 3, pitch: 1.4 }, 0.5, 0.5);
  assert.ok(Math.abs(state.yaw - (3.5 - 2 * Math.PI)) < 1e-12);
  assert.equal(state.pitch, MAX_PITCH);
});
