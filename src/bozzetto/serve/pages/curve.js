// A small loss curve: the phases side by side, each drawn on a logarithmic scale of its own, since their losses are not
// of one kind.

export class Curve {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = [];
  }

  reset(points) {
    this.points = points.slice();
    this.draw();
  }

  add(phase, loss) {
    if (typeof loss !== "number") return;
    this.points.push([phase, loss]);
    if (this.points.length > 1200) this.points = this.points.filter((_, i) => i % 2 === 0);
    this.draw();
  }

  phases() {
    const found = [];
    for (const [phase, loss] of this.points) {
      if (!found.length || found.at(-1).phase !== phase) found.push({ phase, losses: [] });
      found.at(-1).losses.push(Math.log(Math.max(loss, 1e-12)));
    }
    return found;
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth || 640, height = canvas.clientHeight || 120;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    pen.scale(ratio, ratio);
    pen.clearRect(0, 0, width, height);
    pen.font = "11px system-ui, sans-serif";
    const phases = this.phases();
    // Every phase gets room for its points, and some for its name.
    const weights = phases.map((p) => p.losses.length + 12);
    const sum = weights.reduce((a, b) => a + b, 0);
    let left = 0;
    phases.forEach(({ phase, losses }, i) => {
      const room = (width * weights[i]) / sum;
      if (i % 2) {
        pen.fillStyle = style.getPropertyValue("--stage");
        pen.fillRect(left, 0, room, height);
      }
      const low = Math.min(...losses), high = Math.max(...losses);
      pen.beginPath();
      losses.forEach((loss, k) => {
        const x = left + 4 + ((room - 8) * (k + 0.5)) / losses.length;
        const y = 22 + (height - 30) * (high > low ? (high - loss) / (high - low) : 0.5);
        if (k) pen.lineTo(x, y);
        else pen.moveTo(x, y);
      });
      pen.strokeStyle = style.getPropertyValue("--accent");
      pen.lineWidth = 1.5;
      pen.stroke();
      pen.save();
      pen.beginPath();
      pen.rect(left, 0, room, height);
      pen.clip();
      pen.fillStyle = style.getPropertyValue("--faint");
      pen.fillText(phase, left + 5, 14);
      pen.restore();
      left += room;
    });
    const told = phases.map((p) => `${p.phase} ${Math.exp(p.losses.at(-1)).toPrecision(3)}`).join(", ");
    canvas.setAttribute("aria-label", told ? `Last loss of every phase: ${told}` : "Loss of every phase over time");
  }
}
