// Two vectors in the plane: their tips are dragged, or moved with the arrow keys, and four numbers follow.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const SIDE = 440, MIDDLE = SIDE / 2, unit = MIDDLE / data.reach, step = data.reach / 50;
  const now = {tips: data.tips.map((tip) => [...tip]), one: false, chosen: 0};
  const sign = (value, digits = 2) => { const text = value.toFixed(digits); return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−"); };
  const px = (x) => MIDDLE + unit * x, py = (y) => MIDDLE - unit * y;

  const box = el("div", "bkv bk-NAME"), top = el("div", "bkv-top"), main = el("div", "bk-NAME-main"), speech = speaker();
  top.append(el("p", "bkv-title", data.title), choices("Lengths", [["free", "Any length"], ["one", "Both of length 1"]], "free", (key) => { now.one = key === "one"; hold(); draw(); tell(); }));
  const plane = svg("svg", {class: "bk-NAME-plane", viewBox: `0 0 ${SIDE} ${SIDE}`, role: "group", "aria-label": "The plane"});
  let lines = "";
  for (let i = Math.ceil(-data.reach); i <= data.reach; i++) if (i && data.reach <= 20) lines += `M${px(i)} 0V${SIDE}M0 ${py(i)}H${SIDE}`;
  plane.append(svg("path", {class: "bk-NAME-grid", d: lines}), svg("path", {class: "bk-NAME-axis", d: `M0 ${MIDDLE}H${SIDE}M${MIDDLE} 0V${SIDE}`}));
  const tick = svg("text", {class: "bk-NAME-tick", x: px(1) - 4, y: MIDDLE + 17, "aria-hidden": "true"});
  tick.textContent = "1";
  const circle = svg("circle", {class: "bk-NAME-circle", cx: MIDDLE, cy: MIDDLE, r: unit});
  const arc = svg("path", {class: "bk-NAME-arc"}), gap = svg("path", {class: "bk-NAME-gap"});
  const shafts = ["a", "b"].map((one) => svg("path", {class: `bk-NAME-line bk-NAME-${one}`}));
  plane.append(tick, circle, arc, gap, ...shafts);
  const handles = ["a", "b"].map((one, i) => {
    const g = svg("g", {class: "bk-NAME-handle", tabindex: 0, role: "slider", "aria-valuemin": -180, "aria-valuemax": 180});
    const name = svg("text", {class: "bk-NAME-name", "aria-hidden": "true"});
    name.textContent = data.short[i];
    g.append(svg("circle", {class: "bk-NAME-hit", r: 22}), svg("circle", {class: `bk-NAME-tip bk-NAME-${one}`, r: 8}), name);
    g.addEventListener("pointerdown", (event) => { now.chosen = i; g.setPointerCapture(event.pointerId); g.focus({preventScroll: true}); event.preventDefault(); });
    g.addEventListener("pointermove", (event) => { if (g.hasPointerCapture(event.pointerId)) move(i, ...at(event)); });
    g.addEventListener("pointerup", tell);
    g.addEventListener("focus", () => { now.chosen = i; });
    g.addEventListener("keydown", (event) => {
      const way = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key];
      if (!way || event.ctrlKey || event.metaKey || event.altKey) return;
      const [x, y] = now.tips[i], far = step * (event.shiftKey ? 5 : 1);
      // On the circle an arrow turns: up and left against the clock, down and right with it.
      const turn = (way[1] || -way[0]) * far / 2;
      if (now.one) move(i, x * Math.cos(turn) - y * Math.sin(turn), x * Math.sin(turn) + y * Math.cos(turn));
      else move(i, x + far * way[0], y + far * way[1]);
      event.preventDefault();
      tell();
    });
    plane.append(g);
    return g;
  });

  const numbers = el("dl", "bk-NAME-numbers"), value = {}, aside = {};
  for (const name of ["angle", "cosine", "dot product", "distance", "lengths"]) {
    value[name] = el("dd");
    aside[name] = el("dd", "bk-NAME-aside");
    value[name].dataset.name = name;
    numbers.append(el("dt", null, name), value[name], aside[name]);
  }
  main.append(plane, numbers);
  box.append(top, main, el("p", "bkv-note", "Drag a tip, or reach it with the Tab key and move it with the arrow keys; Shift makes the steps larger."), speech.node);
  root.append(box);

  function at(event) {
    const seen = plane.getBoundingClientRect();
    return [((event.clientX - seen.left) * SIDE / seen.width - MIDDLE) / unit, (MIDDLE - (event.clientY - seen.top) * SIDE / seen.height) / unit];
  }
  // The edge of the plane holds the tips; at length 1, whatever direction they have is kept.
  function move(i, x, y) {
    const edge = data.reach - 0.3 * data.reach / 5;
    now.tips[i] = now.one ? [x, y] : [limit(x, -edge, edge), limit(y, -edge, edge)];
    hold();
    draw();
  }
  function hold() {
    if (!now.one) { now.tips = now.tips.map((tip) => tip.map((v) => Math.round(v * 100) / 100)); return; }
    now.tips = now.tips.map(([x, y]) => { const long = Math.hypot(x, y); return long > 1e-9 ? [x / long, y / long] : [1, 0]; });
  }
  function measures() {
    const [[ax, ay], [bx, by]] = now.tips, dot = ax * bx + ay * by, long = [Math.hypot(ax, ay), Math.hypot(bx, by)];
    const cosine = long[0] * long[1] ? limit(dot / (long[0] * long[1]), -1, 1) : Number.NaN;
    return {angle: Math.acos(cosine) * 180 / Math.PI, cosine, dot, distance: Math.hypot(ax - bx, ay - by), long};
  }
  function draw() {
    const found = measures(), none = Number.isNaN(found.cosine), c = sign(found.cosine);
    now.tips.forEach(([x, y], i) => {
      const g = handles[i], name = g.lastChild, long = found.long[i] || 1, edge = 0.86 * data.reach;
      shafts[i].setAttribute("d", `M${MIDDLE} ${MIDDLE}L${px(x).toFixed(1)} ${py(y).toFixed(1)}`);
      g.setAttribute("transform", `translate(${px(x).toFixed(1)} ${py(y).toFixed(1)})`);
      // The name stands beyond the tip, or before it where the plane ends.
      const beyond = Math.max(Math.abs(x), Math.abs(y)) > edge ? -1 : 1;
      name.setAttribute("x", (beyond * 22 * x / long).toFixed(1));
      name.setAttribute("y", (6 - beyond * 22 * y / long).toFixed(1));
      name.setAttribute("text-anchor", x * beyond > 0.3 * long ? "start" : x * beyond < -0.3 * long ? "end" : "middle");
      g.setAttribute("aria-label", `Tip of ${data.names[i]}`);
      g.setAttribute("aria-valuenow", Math.round(Math.atan2(y, x) * 180 / Math.PI));
      g.setAttribute("aria-valuetext", `${sign(x)}, ${sign(y)}`);
    });
    const [[ax, ay], [bx, by]] = now.tips, a = Math.atan2(ay, ax), b = Math.atan2(by, bx), r = Math.min(34, 0.45 * unit * Math.min(...found.long));
    const sweep = ((b - a + 3 * Math.PI) % (2 * Math.PI)) - Math.PI > 0 ? 0 : 1;
    const on = (angle) => `${(MIDDLE + r * Math.cos(angle)).toFixed(1)} ${(MIDDLE - r * Math.sin(angle)).toFixed(1)}`;
    arc.setAttribute("d", none ? "" : `M${on(a)}A${r.toFixed(1)} ${r.toFixed(1)} 0 0 ${sweep} ${on(b)}`);
    gap.setAttribute("d", `M${px(ax).toFixed(1)} ${py(ay).toFixed(1)}L${px(bx).toFixed(1)} ${py(by).toFixed(1)}`);
    circle.style.display = now.one ? "" : "none";
    value.angle.textContent = none ? "undefined" : `${sign(found.angle, 0)}°`;
    value.cosine.textContent = none ? "undefined" : c;
    value["dot product"].textContent = sign(found.dot);
    value.distance.textContent = sign(found.distance);
    value.lengths.textContent = found.long.map((v) => sign(v)).join(" and ");
    aside.angle.textContent = none ? "a vector of length 0 has no direction" : found.angle > 90.5 ? "more than a right angle" : found.angle < 89.5 ? "less than a right angle" : "a right angle";
    aside.cosine.textContent = none ? "" : "the same, whatever the lengths";
    aside["dot product"].textContent = none ? "" : `${sign(found.long[0])} × ${sign(found.long[1])} × ${c}`;
    aside.distance.textContent = now.one ? `squared: 2 − 2 × ${c}` : "the dashed line";
    aside.lengths.textContent = `of ${data.short.join(" and ")}`;
  }
  function tell() {
    const found = measures();
    const angle = Number.isNaN(found.cosine) ? "Angle and cosine undefined" : `Angle ${sign(found.angle, 0)} degrees, cosine ${sign(found.cosine)}`;
    speech.say(`${angle}, dot product ${sign(found.dot)}, distance ${sign(found.distance)}.`);
  }
  host.bookkit = {now, move, measures};
  draw();
}
