// Mouse and pen on the canvas: click, drag a box, wheel to zoom, middle button or Shift and drag to pan.

const CLICK = 4;  // pixels of the screen; a longer way is a drag

export function listenToPointer(view, actions) {
  const { canvas, marks } = view;
  let from = null;
  let panning = false;

  canvas.addEventListener("contextmenu", (event) => event.preventDefault());

  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    if (!actions.isOpen() || from) return;
    canvas.setPointerCapture(event.pointerId);
    from = view.place(event);
    panning = event.button === 1 || event.shiftKey;
    view.cross = null;
    event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const place = view.place(event);
    if (panning) {
      view.pan(place[0] - from[0], place[1] - from[1]);
      from = place;
    } else if (isDrag(place) && actions.canDrag() && event.buttons & 1) {
      marks.drag = [...view.clamped(from), ...view.clamped(place)];
      view.draw();
    }
  });

  canvas.addEventListener("pointerup", (event) => {
    if (!from) return;
    const place = view.place(event);
    const wasPanning = panning;
    const start = from;
    const dragged = isDrag(place) && actions.canDrag() && event.button === 0;
    end();
    if (wasPanning) return;
    if (dragged) {
      actions.box(view.clamped(start), view.clamped(place));
    } else {
      const found = view.inPicture(start);
      if (found) actions.point(found, event.button === 2 ? 0 : 1);
    }
  });

  canvas.addEventListener("pointercancel", end);

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (actions.isOpen()) view.zoom(Math.exp(-event.deltaY / 400), view.place(event));
  }, { passive: false });

  function isDrag([x, y]) {
    return Math.hypot(x - from[0], y - from[1]) > CLICK * view.ratio;
  }

  function end() {
    from = null;
    panning = false;
    marks.drag = null;
    view.draw();
  }
}
