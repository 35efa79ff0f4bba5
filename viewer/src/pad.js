// The light's pad: a ball under the present light. Dragging on it puts the light where the finger is.

import { inWords, shade, toPad } from "./light.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  constructor(element, moved) {
    this.element = element;
    this.ball = element.querySelector("canvas");
    this.dot = element.querySelector(".dot");
    const put = (event) => {
      const box = element.getBoundingClientRect();
      moved((2 * (event.clientX - box.left)) / box.width - 1, (2 * (event.clientY - box.top)) / box.height - 1);
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      put(event);
    });
    element.addEventListener("pointermove", (event) => event.buttons && put(event));
    element.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (!step) return;
      event.preventDefault();
      moved(this.at.x + 0.08 * step[0], this.at.y + 0.08 * step[1]);
    });
  }

  draw(light) {
    this.at = toPad(light);
    this.dot.style.left = `${50 + 50 * this.at.x}%`;
    this.dot.style.top = `${50 + 50 * this.at.y}%`;
    this.element.setAttribute("aria-valuetext", inWords(light));
    this.element.setAttribute("aria-valuenow", String(Math.round(100 * Math.hypot(this.at.x, this.at.y))));
    const size = this.ball.width;
    const context = this.ball.getContext("2d");
    const picture = context.createImageData(size, size);
    for (let v = 0; v < size; v++)
      for (let u = 0; u < size; u++) {
        const [x, y] = [(2 * u + 1) / size - 1, (2 * v + 1) / size - 1];
        const reach = Math.hypot(x, y);
        const inside = Math.min(1, reach);
        const flat = reach > 1 ? 1 / reach : 1;
        const normal = [x * flat, y * flat, -Math.sqrt(1 - inside * inside)];
        const grey = 235 * Math.min(1, 0.86 * shade(light, normal));
        const at = 4 * (v * size + u);
        picture.data.set([grey, grey * 0.98, grey * 0.95, 255 * Math.min(1, Math.max(0, (1 - reach) * size * 0.5))], at);
      }
    context.putImageData(picture, 0, 0);
  }
}
