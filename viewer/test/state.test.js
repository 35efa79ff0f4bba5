import assert from "node:assert/strict";
import { test } from "node:test";

import { start, START_ZOOM, ZOOM, zoomed } from "../src/state.js";

const DATA = { light: [0.5, 0.4, 0.3, 0.4] };

test("it opens with air around the picture, and zooms from there between its ends", () => {
  assert.equal(start(DATA).zoom, START_ZOOM);
  assert.ok(START_ZOOM > ZOOM.least && START_ZOOM < 1);
  assert.equal(zoomed(start(DATA), 1.1).zoom, START_ZOOM * 1.1);
  assert.equal(zoomed(start(DATA), 100).zoom, ZOOM.most);
  assert.equal(zoomed(start(DATA), 0.01).zoom, ZOOM.least);
});

test("what is changed afterwards leaves the data's light as it is", () => {
  const state = start(DATA);
  state.light[0] = 9;
  assert.equal(DATA.light[0], 0.5);
});
