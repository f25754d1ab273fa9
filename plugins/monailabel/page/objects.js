// The objects of a label. An object is a list of steps: a point, a box, a trace, or a mask that was loaded.

import { area, union } from "./masks.js";

// Okabe and Ito's colours, which the colour-blind tell apart.
export const COLOURS = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167],
];

export class LabelObject {
  constructor(name) {
    this.name = name;
    this.steps = [];        // { kind: "point" | "box" | "mask", ... }
    this.prompted = null;   // mask of points and box, from the server
    this.sequence = 0;      // of the last request; older answers are dropped
  }

  get points() { return this.steps.filter((step) => step.kind === "point").map((step) => step.point); }

  get box() { return this.steps.filter((step) => step.kind === "box").at(-1)?.box ?? null; }

  get isPrompted() { return this.steps.some((step) => step.kind !== "mask"); }

  // The union of all masks, or null where there is none.
  mask(length) {
    const masks = this.steps.filter((step) => step.kind === "mask").map((step) => step.mask);
    if (this.prompted) masks.push(this.prompted);
    return masks.length ? union(masks, length) : null;
  }
}

export class ObjectList {
  constructor() { this.reset(); }

  reset() {
    this.items = [new LabelObject("vessel")];
    this.current = 0;
    this.changed = false;
    this.clicks = 0;
  }

  get object() { return this.items[this.current]; }

  colour(index) { return COLOURS[index % COLOURS.length]; }

  add() {
    let number = this.items.length + 1;
    while (this.items.some((item) => item.name === `object ${number}`)) number++;
    this.items.push(new LabelObject(`object ${number}`));
    this.current = this.items.length - 1;
    return this.object;
  }

  remove(index) {
    this.items.splice(index, 1);
    if (!this.items.length) this.items.push(new LabelObject("vessel"));
    this.current = Math.min(this.current, this.items.length - 1);
    this.changed = true;
  }

  load(objects) {
    this.reset();
    if (!objects.length) return;
    this.items = objects.map(({ name, mask }) => {
      const item = new LabelObject(name);
      item.steps.push({ kind: "mask", mask });
      return item;
    });
  }
}

export function listObjects(list, element, length, actions) {
  const focused = element.contains(document.activeElement) ? document.activeElement.ariaLabel : null;
  element.replaceChildren(...list.items.map((item, index) => {
    const row = document.createElement("li");
    row.classList.toggle("current", index === list.current);
    const mask = item.mask(length);
    const pick = Object.assign(document.createElement("input"), {
      type: "radio", name: "object", checked: index === list.current,
    });
    pick.setAttribute("aria-label", `Work on ${item.name}`);
    pick.addEventListener("change", () => actions.pick(index));
    const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
    swatch.style.background = `rgb(${list.colour(index)})`;
    const name = Object.assign(document.createElement("input"), { type: "text", value: item.name, maxLength: 80 });
    name.setAttribute("aria-label", `Name of object ${index + 1}`);
    name.addEventListener("change", () => actions.rename(index, name.value));
    const size = Object.assign(document.createElement("span"), {
      className: "area", textContent: mask ? `${area(mask)} px` : "empty",
    });
    const remove = Object.assign(document.createElement("button"), { textContent: "×" });
    remove.setAttribute("aria-label", `Remove ${item.name}`);
    remove.addEventListener("click", () => actions.remove(index));
    row.append(pick, swatch, name, size, remove);
    return row;
  }));
  // The rows are new; the keyboard stays where it was.
  if (focused) [...element.querySelectorAll("[aria-label]")].find((one) => one.ariaLabel === focused)?.focus();
}
