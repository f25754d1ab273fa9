// The canvas: the picture with masks and prompts, zoom, and the cross that the keyboard moves.

import { paint } from "./masks.js";

const LARGEST_ZOOM = 32;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.picture = null;
    this.layers = [];        // pictures of masks
    this.marks = { points: [], box: null, drag: null, ends: [], lesions: [] };
    this.cross = null;       // (x, y) while the keyboard is used
    this.scale = 1;
    this.offset = [0, 0];
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  get ratio() { return window.devicePixelRatio || 1; }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * this.ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * this.ratio));
    this.fit();
  }

  show(picture) {
    this.picture = picture;
    this.layers = [];
    this.cross = null;
    this.fit();
  }

  get fitting() {
    if (!this.picture) return 1;
    return Math.min(this.canvas.width / this.picture.width, this.canvas.height / this.picture.height);
  }

  fit() {
    if (this.picture) {
      this.scale = this.fitting;
      this.offset = [
        (this.canvas.width - this.scale * this.picture.width) / 2,
        (this.canvas.height - this.scale * this.picture.height) / 2,
      ];
    }
    this.draw();
  }

  // Zoom by a factor about a place on the canvas, by default its middle.
  zoom(factor, place = [this.canvas.width / 2, this.canvas.height / 2]) {
    const scale = Math.min(LARGEST_ZOOM * this.ratio, Math.max(this.fitting, this.scale * factor));
    this.offset = this.offset.map((value, axis) => place[axis] - (place[axis] - value) * scale / this.scale);
    this.scale = scale;
    if (scale === this.fitting) this.fit(); else this.draw();
  }

  pan(x, y) {
    this.offset = [this.offset[0] + x, this.offset[1] + y];
    this.draw();
  }

  // Place of an event on the canvas, in its own pixels.
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
  }

  // Place in the picture, (x, y) in pixels; null outside.
  inPicture([x, y]) {
    if (!this.picture) return null;
    const found = [(x - this.offset[0]) / this.scale, (y - this.offset[1]) / this.scale];
    const inside = found[0] >= 0 && found[1] >= 0 && found[0] < this.picture.width && found[1] < this.picture.height;
    return inside ? found : null;
  }

  clamped([x, y]) {
    const found = [(x - this.offset[0]) / this.scale, (y - this.offset[1]) / this.scale];
    return [
      Math.min(this.picture.width, Math.max(0, found[0])),
      Math.min(this.picture.height, Math.max(0, found[1])),
    ];
  }

  moveCross(x, y) {
    if (!this.picture) return;
    const [column, row] = this.cross ?? [this.picture.width / 2, this.picture.height / 2];
    this.cross = [
      Math.min(this.picture.width - 0.5, Math.max(0.5, column + x)),
      Math.min(this.picture.height - 0.5, Math.max(0.5, row + y)),
    ];
    this.draw();
  }

  setMasks(masks, width, height) {
    this.layers = masks.map(({ mask, colour, current }) => paint(mask, width, height, colour, current ? 110 : 70));
    this.draw();
  }

  draw() {
    const { context, canvas, scale } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.picture) return;
    context.setTransform(scale, 0, 0, scale, ...this.offset);
    context.imageSmoothingEnabled = scale < 3;
    context.drawImage(this.picture, 0, 0);
    context.imageSmoothingEnabled = false;
    for (const layer of this.layers) context.drawImage(layer, 0, 0);
    const unit = this.ratio / scale;  // one pixel of the screen
    for (const [number, [x0, y0, x1, y1]] of this.marks.lesions.entries()) {
      this.frame([x0, y0, x1, y1], "#ff8a80", unit);
      context.font = `${14 * unit}px system-ui`;
      context.fillStyle = "#ff8a80";
      context.fillText(String(number + 1), x0, y0 - 3 * unit);
    }
    if (this.marks.box) this.frame(this.marks.box, "#ffffff", unit);
    if (this.marks.drag) this.frame(this.marks.drag, "#ffd54f", unit);
    for (const [x, y, label] of this.marks.points) this.dot(x, y, label ? "#39ff14" : "#ff2d2d", unit, label);
    for (const [x, y] of this.marks.ends) this.dot(x, y, "#ffd54f", unit, 1);
    if (this.cross && document.activeElement === canvas) this.drawCross(...this.cross, unit);
  }

  frame([x0, y0, x1, y1], colour, unit) {
    this.context.lineWidth = 2 * unit;
    this.context.strokeStyle = colour;
    this.context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  dot(x, y, colour, unit, label) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, 6 * unit, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5 * unit;
    context.strokeStyle = "#000";
    context.stroke();
    // A sign besides the colour.
    context.beginPath();
    context.moveTo(x - 3 * unit, y);
    context.lineTo(x + 3 * unit, y);
    if (label) { context.moveTo(x, y - 3 * unit); context.lineTo(x, y + 3 * unit); }
    context.stroke();
  }

  drawCross(x, y, unit) {
    const { context } = this;
    for (const [colour, width] of [["#000", 3], ["#ffd54f", 1.5]]) {
      context.lineWidth = width * unit;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - 12 * unit, y);
      context.lineTo(x + 12 * unit, y);
      context.moveTo(x, y - 12 * unit);
      context.lineTo(x, y + 12 * unit);
      context.stroke();
    }
  }
}
