// The map of the sentences: principal components, drawn true to scale, with the lines that cosine draws.
import {el, limit, svg} from "../shared.js";
import {flatten} from "./vectors.js";

const EDGE = 16, LINE = 15, SIGN = 6.3;

/** The beginning of a sentence, for its point. */
function short(sentence, most) {
  const signs = Array.from(sentence);
  if (signs.length <= most) return sentence;
  const cut = signs.slice(0, most).join(""), blank = cut.lastIndexOf(" ");
  return `${blank > most / 2 ? cut.slice(0, blank) : cut} …`;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const touch = (a, b) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** What the map shows and what it cannot, in words. */
function caption(shares, kept, lines) {
  const [across, up] = shares, all = across + up;
  if (all === 0) return "A map needs at least two different sentences.";
  const rest = all > 0.995 ? "Nothing is lost: so few sentences lie flat anyway." : `The other ${percent(1 - all)} no flat map can hold, so trust the bars where the two disagree.`;
  const near = lines ? ` The lines lead to the ${lines > 1 ? `${lines} nearest` : "nearest"} by cosine; ${kept === lines ? "nothing is nearer on the map, either" : `on the map, ${kept ? `only ${kept}` : "none"} of them ${kept > 1 ? "are" : "is"} among the nearest`}.` : "";
  return `The map shows ${percent(all)} of the variance: ${percent(across)} from left to right, ${percent(up)} from bottom to top. ${rest}${near}`;
}

/**
 * @param {{choose: (sentence: string) => void}} told hears which point was pressed
 * @returns {{node: HTMLElement, show: (items: {sentence: string, vector: Float32Array}[], chosen: string, nearest: string[]) => void, shown: () => object}}
 */
export function sentenceMap(told) {
  const node = el("figure", "bk-search-figure"), frame = el("div", "bk-search-frame"), picture = svg("svg", {class: "bk-search-map", role: "img"});
  const lines = svg("g", {class: "bk-search-lines"}), dots = svg("g"), words = el("figcaption", "bk-search-caption"), made = new Map();
  let now = {items: [], chosen: "", nearest: [], points: [], shares: [0, 0]}, width = 0, height = 0;
  picture.append(lines, dots);
  frame.append(picture);
  node.append(frame, words);

  /** The point of a sentence: a dot and its words, moved as one. */
  function dot(sentence) {
    if (!made.has(sentence)) {
      const group = svg("g", {class: "bk-search-point"}), name = svg("text"), hover = svg("title");
      hover.textContent = sentence;
      group.append(svg("circle", {r: 14, class: "bk-search-reach"}), svg("circle", {class: "bk-search-dot"}), name, hover);
      group.onclick = () => told.choose(sentence);
      made.set(sentence, group);
    }
    return made.get(sentence);
  }
  /** Words stand beside their dot where there is room; the chosen one's and its neighbours' come first. */
  function label(places) {
    const taken = places.map(([x, y]) => ({x: x - 7, y: y - 7, w: 14, h: 14}));
    const order = now.items.map((_, i) => i).sort((a, b) => weight(b) - weight(a));
    for (const i of order) {
      const {sentence} = now.items[i], name = dot(sentence).querySelector("text"), [x, y] = places[i];
      name.textContent = short(sentence, width > 560 ? 36 : 24);
      const w = SIGN * Array.from(name.textContent).length + 4;
      const spots = [[11, -LINE / 2, "start"], [-11 - w, -LINE / 2, "end"], ...[-11 - LINE, 11].flatMap((top) => [[-w / 2, top, "middle"], [8 - w, top, "end"], [-8, top, "start"]])];
      const spot = spots.find(([left, top]) => {
        const here = {x: x + left, y: y + top, w, h: LINE};
        return here.x >= 0 && here.x + w <= width && here.y >= 0 && here.y + LINE <= height && !taken.some((other, j) => j !== i && touch(here, other));
      });
      name.setAttribute("visibility", spot ? "visible" : "hidden");
      if (!spot) continue;
      const [left, top, anchor] = spot;
      taken.push({x: x + left, y: y + top, w, h: LINE});
      name.setAttribute("text-anchor", anchor);
      name.setAttribute("x", anchor === "start" ? left : anchor === "end" ? left + w : 0);
      name.setAttribute("y", top + LINE - 3.5);
    }
  }
  const weight = (i) => now.items[i].sentence === now.chosen ? 2 : now.nearest.includes(now.items[i].sentence) ? 1 : 0;
  function draw() {
    if (!width) return;
    const {items, points} = now, spans = [0, 1].map((axis) => { const all = points.map((point) => point[axis]); return [Math.min(...all), Math.max(...all)]; });
    // One scale for both directions: distances on the map may be compared.
    const scale = Math.min(...[width, height].map((room, axis) => (room - 2 * EDGE - (axis ? 2 * LINE : 0)) / Math.max(1e-9, spans[axis][1] - spans[axis][0])));
    const place = points.map(([x, y]) => [width / 2 + limit(scale, 0, 1e4) * (x - (spans[0][0] + spans[0][1]) / 2), height / 2 - limit(scale, 0, 1e4) * (y - (spans[1][0] + spans[1][1]) / 2)]);
    const wanted = new Set(items.map(({sentence}) => sentence));
    for (const [sentence, group] of made) if (!wanted.has(sentence)) { group.remove(); made.delete(sentence); }
    items.forEach(({sentence}, i) => {
      const group = dot(sentence);
      group.style.transform = `translate(${place[i][0].toFixed(1)}px,${place[i][1].toFixed(1)}px)`;
      group.dataset.kind = ["", "near", "now"][weight(i)];
      group.querySelector(".bk-search-dot").setAttribute("r", [4.5, 5.5, 7][weight(i)]);
      if (!group.isConnected) dots.append(group);
    });
    const at = (sentence) => place[items.findIndex((item) => item.sentence === sentence)];
    lines.replaceChildren(...(at(now.chosen) ? now.nearest : []).map((sentence) => {
      const [[x1, y1], [x2, y2]] = [at(now.chosen), at(sentence)];
      return svg("line", {x1, y1, x2, y2});
    }));
    label(place);
  }
  /** How many of the nearest by cosine are also the nearest on the map. */
  function kept() {
    const here = now.items.findIndex(({sentence}) => sentence === now.chosen);
    if (here < 0) return 0;
    const far = (i) => Math.hypot(now.points[i][0] - now.points[here][0], now.points[i][1] - now.points[here][1]);
    const close = now.items.map((_, i) => i).filter((i) => i !== here).sort((a, b) => far(a) - far(b)).slice(0, now.nearest.length);
    return close.filter((i) => now.nearest.includes(now.items[i].sentence)).length;
  }
  function show(items, chosen, nearest) {
    picture.removeAttribute("data-still");
    now = {items, chosen, nearest, ...flatten(items.map(({vector}) => vector))};
    words.textContent = caption(now.shares, kept(), nearest.length);
    picture.setAttribute("aria-label", `A map of ${items.length} sentences. Nearest to “${chosen}” by cosine: ${nearest.join("; ") || "none"}.`);
    draw();
  }
  new ResizeObserver(() => {
    const room = frame.clientWidth;
    if (!room || room === width) return;
    width = room;
    picture.setAttribute("data-still", ""); // only a change of what is shown moves the points
    height = Math.round(limit(room * 1.05, 280, 460));
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    draw();
  }).observe(frame);
  return {node, show, shown: () => now};
}
