// The page: list of images, tools, keys, and the label of the open image.

import { api } from "./api.js";
import { maskFromPng, maskToPng } from "./masks.js";
import { listObjects, ObjectList } from "./objects.js";
import { lesionTable } from "./lesions.js";
import { listenToPointer } from "./pointer.js";
import { View } from "./view.js";

const find = (id) => document.getElementById(id);
const view = new View(find("canvas"));
const list = new ObjectList();
const state = { image: null, session: null, version: "", width: 0, height: 0, corner: null, opened: 0, vessels: null };

const HINTS = {
  prompt: "Left click: object. Right click: not object. Drag: box. Keys: F, B, X for the corners of a box.",
  trace: "Click both ends of a vessel piece; the lumen between them is filled. Key: F.",
};

function tell(text, isError = false) {
  find("status").textContent = text;
  find("status").classList.toggle("error", isError);
}

// Run a task; an error is told and not thrown.
async function attempt(task, text) {
  if (text) tell(text);
  try {
    return await task();
  } catch (error) {
    tell(error.message, true);
    return undefined;
  }
}

const tool = () => document.querySelector("input[name=tool]:checked").value;
const length = () => state.width * state.height;

// ---- lists --------------------------------------------------------------------------------------------------

async function loadImages() {
  const images = await api.images();
  find("count").textContent = `(${images.filter((one) => one.labelled).length} of ${images.length} labelled)`;
  find("images").replaceChildren(...images.map(({ id, labelled }) => {
    const row = document.createElement("li");
    row.role = "option";
    row.id = `image-${id}`;
    row.dataset.image = id;
    row.textContent = id;
    row.setAttribute("aria-selected", String(id === state.image));
    if (labelled) row.append(Object.assign(document.createElement("span"), { className: "done", textContent: "✓ labelled" }));
    row.addEventListener("click", () => openImage(id));
    return row;
  }));
}

async function loadNetworks() {
  const networks = await api.networks();
  const chosen = find("network").value;
  find("network").replaceChildren(...networks.map(({ name, modality, error }) => {
    const text = error ? `${name} (unusable)` : modality ? `${name} (${modality})` : name;
    return Object.assign(document.createElement("option"), {
      value: name, textContent: text, disabled: Boolean(error), title: error ?? "",
    });
  }));
  if (networks.some((one) => one.name === chosen && !one.error)) find("network").value = chosen;
}

// ---- the open image -----------------------------------------------------------------------------------------

async function openImage(image) {
  if (list.changed && !window.confirm("The label of this image is not saved. Leave it?")) return;
  const turn = ++state.opened;
  const before = state.session;
  await attempt(async () => {
    const opened = await api.open(image);
    const picture = new Image();
    picture.src = api.pictureUrl(image);
    await picture.decode();
    const label = await api.label(image);
    const objects = await Promise.all(label.objects.map(async ({ name, mask }) => (
      { name, mask: await maskFromPng(mask, opened.width, opened.height) })));
    if (turn !== state.opened) return;  // another image was opened meanwhile
    Object.assign(state, {
      image, session: opened.session, width: opened.width, height: opened.height, version: label.version,
      corner: null, vessels: null,
    });
    list.load(objects);
    view.show(picture);
    view.marks.lesions = [];
    view.marks.ends = [];
    find("lesions").replaceChildren();
    find("take").hidden = true;
    for (const row of find("images").children) {
      row.setAttribute("aria-selected", String(row.dataset.image === image));
    }
    find("images").setAttribute("aria-activedescendant", `image-${image}`);
    find(`image-${image}`)?.scrollIntoView({ block: "nearest" });
    show();
    tell(label.version ? `${image}: opened with its saved label.` : `${image}: opened.`);
    if (before) api.close(before).catch(() => {});
    prepare();
  }, `${image}: opening.`);
}

// Encode the image before the first click.
function prepare() {
  if (state.session) api.prepare(state.session, find("network").value).catch(() => {});
}

function show() {
  listObjects(list, find("objects"), length(), {
    pick: (index) => { list.current = index; state.corner = null; show(); },
    rename: (index, name) => {
      const taken = list.items.some((item, other) => other !== index && item.name === name.trim());
      if (taken || !name.trim()) tell("An object needs a name of its own.", true);
      else { list.items[index].name = name.trim(); list.changed = true; }
      show();
    },
    remove: (index) => { list.remove(index); show(); },
  });
  const masks = list.items.map((item, index) => (
    { mask: item.mask(length()), colour: list.colour(index), current: index === list.current }));
  view.marks.points = list.object.points;
  view.marks.box = list.object.box;
  view.setMasks(masks.filter(({ mask }) => mask), state.width, state.height);
  for (const id of ["undo", "clear", "accept", "analyse", "add"]) find(id).disabled = !state.image;
}

// ---- prompts ------------------------------------------------------------------------------------------------

async function ask(item) {
  const sequence = ++item.sequence;
  if (!item.isPrompted) {
    item.prompted = null;
    show();
    return;
  }
  const image = state.image;
  const body = { name: item.name, points: item.points, box: item.box, network: find("network").value || null };
  const answer = await attempt(async () => {
    try {
      return await api.click(state.session, body);
    } catch (error) {
      if (![409, 410].includes(error.status)) throw error;
      state.session = (await api.open(image)).session;  // the lease has ended
      return api.click(state.session, body);
    }
  });
  if (!answer || image !== state.image || sequence !== item.sequence) return;
  item.prompted = await maskFromPng(answer.mask, state.width, state.height);
  show();
  tell(`${item.name}: ${answer.area_px} px in ${Math.round(1000 * answer.seconds)} ms`
    + `${answer.encoded ? ", the image was encoded" : ""}; predicted overlap ${answer.predicted_iou.toFixed(2)}.`);
}

function addStep(step) {
  const item = list.object;
  item.steps.push(step);
  list.changed = true;
  list.clicks += 1;
  show();
  if (step.kind !== "mask") ask(item);
}

function addPoint(place, label) {
  if (!state.image) return;
  if (tool() === "trace") addEnd(place);
  else addStep({ kind: "point", point: [place[0], place[1], label] });
}

function addBox([x0, y0], [x1, y1]) {
  const box = [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
  if (box[2] - box[0] < 1 || box[3] - box[1] < 1) tell("A box needs two corners that are apart.", true);
  else addStep({ kind: "box", box });
}

function addCorner(place) {
  if (!state.corner) {
    state.corner = place;
    tell("First corner of the box is set; move the cross and press X again.");
  } else {
    addBox(state.corner, place);
    state.corner = null;
  }
}

async function addEnd(place) {
  view.marks.ends.push(place);
  view.draw();
  if (view.marks.ends.length < 2) {
    tell("First end is set; click the other end of the vessel.");
    return;
  }
  const [start, end] = view.marks.ends.splice(0);
  const { image } = state;
  const item = list.object;
  const answer = await attempt(() => api.trace(image, start, end), "Tracing the vessel.");
  view.draw();
  if (!answer || image !== state.image) return;
  item.steps.push({ kind: "mask", mask: await maskFromPng(answer.mask, state.width, state.height) });
  list.changed = true;
  list.clicks += 2;
  show();
  tell(`${item.name}: traced ${answer.area_px} px in ${Math.round(1000 * answer.seconds)} ms.`);
}

function undo() {
  if (view.marks.ends.length) {
    view.marks.ends.pop();
    view.draw();
    return;
  }
  const step = list.object.steps.pop();
  if (!step) {
    tell(`${list.object.name}: nothing to undo.`);
    return;
  }
  list.changed = true;
  if (step.kind === "mask") show();
  else ask(list.object);
}

function clear() {
  list.object.steps = [];
  list.changed = true;
  view.marks.ends = [];
  ask(list.object);
}

async function accept() {
  if (!state.image) return;
  const objects = list.items
    .map((item) => ({ name: item.name, mask: item.mask(length()) }))
    .filter(({ mask }) => mask)
    .map(({ name, mask }) => ({ name, mask: maskToPng(mask, state.width, state.height) }));
  const body = { objects, version: state.version, network: find("network").value || null, clicks: list.clicks };
  const { image } = state;
  const saved = await attempt(() => api.save(image, body), `${image}: saving.`);
  if (!saved) return;
  if (image === state.image) Object.assign(state, { version: saved.version });
  list.changed = false;
  await attempt(loadImages);
  tell(`${image}: saved with ${objects.length} object${objects.length === 1 ? "" : "s"}.`);
}

async function analyse() {
  const { image } = state;
  const found = await attempt(() => api.analyse(image), `${image}: finding vessels, segments and stenoses.`);
  if (!found || image !== state.image) return;
  find("lesions").replaceChildren(lesionTable(found));
  view.marks.lesions = found.lesions.map((row) => row.box_xy);
  state.vessels = await maskFromPng(found.vessels, state.width, state.height);
  find("take").hidden = false;
  show();
  tell(`${image}: ${found.lesions.length} stenos${found.lesions.length === 1 ? "is" : "es"}.`);
}

async function next() {
  const answer = await attempt(() => api.next(find("strategy").value), "Choosing an image.");
  if (answer === undefined) return;
  if (answer.id) await openImage(answer.id);
  else tell("Every image has a label.");
}

async function refresh() {
  await attempt(async () => { await loadImages(); await loadNetworks(); });
  show();
}

// ---- keys and buttons ---------------------------------------------------------------------------------------

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function chooseTool(name) {
  document.querySelector(`input[name=tool][value=${name}]`).checked = true;
  find("hint").textContent = HINTS[name];
  view.marks.ends = [];
  view.draw();
}

const KEYS = {
  a: () => { list.add(); show(); }, n: next, p: () => chooseTool("prompt"), t: () => chooseTool("trace"),
  "+": () => view.zoom(1.25), "-": () => view.zoom(0.8), 0: () => view.fit(), enter: accept, u: undo,
};

document.addEventListener("keydown", (event) => {
  const target = event.target;
  if (target.matches("input[type=text], select")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onCanvas = target === view.canvas;
  if (onCanvas && MOVES[event.key] && state.image) {
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    view.moveCross(...MOVES[event.key].map((value) => step * value));
    return;
  }
  if (target === find("images") && ["ArrowUp", "ArrowDown"].includes(event.key)) {
    event.preventDefault();
    const rows = [...find("images").children];
    const at = rows.findIndex((row) => row.dataset.image === state.image);
    const row = rows[Math.min(rows.length - 1, Math.max(0, at + (event.key === "ArrowDown" ? 1 : -1)))];
    if (row) openImage(row.dataset.image);
    return;
  }
  const key = event.key.toLowerCase();
  if (onCanvas && state.image && ["f", "b", "x"].includes(key)) {
    if (!view.cross) view.moveCross(0, 0);
    if (key === "x") addCorner(view.cross);
    else addPoint(view.cross, key === "f" ? 1 : 0);
    return;
  }
  const pressesButton = key === "enter" && target.matches("button, input[type=radio]");
  if (KEYS[key] && !pressesButton && (state.image || key === "n")) {
    event.preventDefault();
    KEYS[key]();
  }
});

for (const [id, action] of Object.entries({
  refresh, next, undo, clear, accept, analyse, add: KEYS.a, "zoom-in": KEYS["+"], "zoom-out": KEYS["-"],
  "zoom-fit": KEYS[0],
  take: () => { addStep({ kind: "mask", mask: state.vessels }); },
})) find(id).addEventListener("click", action);

for (const input of document.querySelectorAll("input[name=tool]")) {
  input.addEventListener("change", () => chooseTool(input.value));
}
find("network").addEventListener("change", () => { prepare(); if (state.image) ask(list.object); });
window.addEventListener("beforeunload", (event) => { if (list.changed) event.preventDefault(); });
view.canvas.addEventListener("focus", () => view.draw());
view.canvas.addEventListener("blur", () => view.draw());
listenToPointer(view, {
  isOpen: () => Boolean(state.image), point: addPoint, box: addBox, canDrag: () => tool() === "prompt",
});

chooseTool("prompt");
show();
await refresh();
if (find("images").children.length) await openImage(find("images").firstElementChild.dataset.image);
else tell("There are no images yet.");
