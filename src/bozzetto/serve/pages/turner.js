// The object from several sides: one strip of square pictures, shown one at a time by a slider or swinging by itself.

const SECONDS = 4; // of a whole swing

export class Turner {
  constructor(canvas, slider, swing) {
    this.canvas = canvas;
    this.slider = slider;
    this.swing = swing;
    this.strip = null;
    swing.checked = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    slider.addEventListener("input", () => {
      swing.checked = false;
      this.draw();
    });
    swing.addEventListener("change", () => this.play());
  }

  async show(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    this.strip = image;
    this.canvas.width = this.canvas.height = image.naturalHeight;
    this.slider.max = image.naturalWidth / image.naturalHeight - 1;
    this.draw();
    this.play();
  }

  draw() {
    const { strip, canvas } = this;
    if (!strip) return;
    const size = strip.naturalHeight;
    const at = Math.round(Number(this.slider.value));
    canvas.getContext("2d").drawImage(strip, at * size, 0, size, size, 0, 0, size, size);
  }

  play() {
    if (this.timer || !this.swing.checked) return;
    const tick = () => {
      if (!this.swing.checked) {
        this.timer = null;
        return;
      }
      const middle = this.slider.max / 2;
      const angle = (performance.now() / 1000 / SECONDS) * 2 * Math.PI;
      this.slider.value = middle + middle * Math.sin(angle);
      this.draw();
      this.timer = setTimeout(() => requestAnimationFrame(tick), 60);
    };
    this.timer = setTimeout(tick, 0);
  }
}
