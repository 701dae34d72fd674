
"use strict";
// The window shows a part of the picture: wheel and + - zoom, dragging and arrow keys move, 0 shows all.
const picture = document.documentElement;
const whole = picture.viewBox.baseVal;
const all = { x: whole.x, y: whole.y, w: whole.width, h: whole.height };
const seen = { ...all };
const show = () => picture.setAttribute("viewBox", `${seen.x} ${seen.y} ${seen.w} ${seen.h}`);
// Where a place of the window is in the picture.
function at(event) {
  const to = picture.getScreenCTM().inverse();
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(to);
}
function zoom(by, x = seen.x + seen.w / 2, y = seen.y + seen.h / 2) {
  const w = Math.min(Math.max(seen.w * by, all.w / 200), all.w * 4);
  const scale = w / seen.w;
  Object.assign(seen, { x: x - (x - seen.x) * scale, y: y - (y - seen.y) * scale, w, h: seen.h * scale });
  show();
}
function move(x, y) {
  seen.x += x;
  seen.y += y;
  show();
}
// Not in a page of others, which gives it a size.
if (window === window.top) {
  picture.setAttribute("width", "100%");
  picture.setAttribute("height", "100%");
}
addEventListener("wheel", event => {
  event.preventDefault();
  const { x, y } = at(event);
  zoom(Math.exp(Math.sign(event.deltaY) * Math.min(Math.abs(event.deltaY), 100) / 400), x, y);
}, { passive: false });
let held = null;
addEventListener("pointerdown", event => {
  // Text can be marked, to be copied.
  if (event.button === 0 && event.target.tagName !== "text") {
    held = at(event);
    event.preventDefault();
  }
});
addEventListener("pointermove", event => {
  // It may have been let go outside of the window.
  if (event.buttons === 0) held = null;
  if (!held) return;
  const { x, y } = at(event);
  move(held.x - x, held.y - y);
});
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => held = null);
addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = seen.w / 10;
  const keys = {
    "+": () => zoom(0.8),
    "=": () => zoom(0.8),
    "-": () => zoom(1.25),
    "0": () => { Object.assign(seen, all); show(); },
    ArrowLeft: () => move(-step, 0),
    ArrowRight: () => move(step, 0),
    ArrowUp: () => move(0, -step),
    ArrowDown: () => move(0, step),
  };
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});
