
"use strict";
// Each frame is an svg of its own, with its place in percent: zooming sets these anew, and names are cut where frames end.
const frames = [...document.querySelectorAll("#frames > svg")].map(svg => ({
  svg,
  x: parseFloat(svg.getAttribute("x")),
  w: parseFloat(svg.getAttribute("width")),
  y: +svg.getAttribute("y"),
  name: svg.querySelector("title").textContent.replace(/: [^:]*$/, ""),
}));
const EPSILON = 1e-3;
function zoom(to) {
  for (const f of frames) {
    const inside = f.x >= to.x - EPSILON && f.x + f.w <= to.x + to.w + EPSILON && f.y >= to.y;
    const around = f.y < to.y && f.x <= to.x + EPSILON && f.x + f.w >= to.x + to.w - EPSILON;
    f.svg.style.display = inside || around ? "" : "none";
    f.svg.classList.toggle("parent", around);
    f.svg.setAttribute("x", (around ? 0 : (f.x - to.x) / to.w * 100) + "%");
    f.svg.setAttribute("width", (around ? 100 : f.w / to.w * 100) + "%");
  }
}
function search(text) {
  let pattern = null;
  const said = document.getElementById("said");
  try {
    pattern = text ? new RegExp(text, "i") : null;
  } catch (error) {
    said.textContent = error.message;
    return;
  }
  // Of frames inside of each other the outer one counts.
  let covered = 0, end = -1;
  const found = frames.filter(f => pattern && pattern.test(f.name));
  for (const f of frames) f.svg.classList.toggle("found", found.includes(f));
  for (const f of found.slice().sort((a, b) => a.x - b.x || b.w - a.w)) {
    if (f.x + f.w <= end + EPSILON) continue;
    covered += f.x + f.w - Math.max(f.x, end);
    end = f.x + f.w;
  }
  said.textContent = pattern ? `${text}: ${found.length} frames, ${covered.toFixed(2)} %` : "";
}
const ask = () => { const text = prompt("Regular expression:"); if (text !== null) search(text); };
const reset = () => { zoom(frames[0]); search(""); };
for (const f of frames) f.svg.addEventListener("click", () => zoom(f));
document.getElementById("search").addEventListener("click", ask);
document.getElementById("reset").addEventListener("click", reset);
addEventListener("keydown", event => {
  if (event.key === "/" || event.key === "f" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
  if (event.key === "Escape") reset();
});
