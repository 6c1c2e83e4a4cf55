// One query in the plane: it is moved by hand or by keyboard; scores, softmax and weighted sum follow.

// biome-ignore lint/correctness/noUnusedVariables: the fragment calls it
function mount(root, data, host) {
  const {names, keys, values, axes, reach, far} = data, SIDE = 300, ROOT = Math.SQRT2;
  const now = {query: [...data.query]};
  const say = (x, digits = 2) => x.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
  const pair = ([x, y], digits = 1) => `(${say(x, digits)}, ${say(y, digits)})`;
  const at = ([x, y], most) => [SIDE * (x / most + 1) / 2, SIDE * (1 - y / most) / 2];

  function weights() {
    const scores = keys.map(([x, y]) => (now.query[0] * x + now.query[1] * y) / ROOT), largest = Math.max(...scores);
    const exponentials = scores.map((score) => Math.exp(score - largest)), total = exponentials.reduce((a, b) => a + b);
    const softmax = exponentials.map((one) => one / total);
    const sum = [0, 1].map((i) => softmax.reduce((all, weight, k) => all + weight * values[k][i], 0));
    return {scores, softmax, sum};
  }

  const box = el("div", "bkv bk-NAME bk-NAME-live"), top = el("div", "bkv-top");
  top.append(el("p", "bkv-title", data.title));
  const short = (name) => name.length > 12 ? name.slice(0, 11) + "…" : name;
  function plane(caption, most, points, kind) {
    const side = el("div", "bk-NAME-side"), map = svg("svg", {class: "bk-NAME-plane", viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true"});
    map.append(svg("path", {class: "bk-NAME-axis", d: `M0 ${SIDE / 2}H${SIDE}M${SIDE / 2} 0V${SIDE}`}));
    const lines = points.map(() => svg("path", {class: "bk-NAME-line"}));
    map.append(...lines);
    points.forEach((point, i) => {
      const [x, y] = at(point, most), label = svg("text", {class: "bk-NAME-name", x: limit(x, 34, SIDE - 34), y: y < 24 ? y + 22 : y - 11});
      label.textContent = short(names[i]);
      map.append(svg("circle", {class: `bk-NAME-${kind}`, cx: x, cy: y, r: 6}), label);
    });
    side.append(el("p", "bk-NAME-caption", caption), map);
    return {side, map, lines};
  }
  const left = plane("The keys, and the query: drag its tip", reach, keys, "key");
  const right = plane("The values, and their weighted sum", far, values, "value");
  const arrow = svg("path", {class: "bk-NAME-arrow"}), tip = svg("circle", {class: "bk-NAME-tip", r: 9}), grip = svg("circle", {class: "bk-NAME-grip", r: 24});
  left.map.append(arrow, tip, grip);
  const output = svg("circle", {class: "bk-NAME-sum", r: 9});
  right.map.append(output);

  const sliders = axes.map((axis, i) => {
    const label = el("label", "bk-NAME-slider"), words = el("span", null, axis), shown = el("b");
    const input = el("input", null, null, {type: "range", min: -reach, max: reach, step: 0.1, "aria-label": `Query, ${axis}`});
    input.oninput = () => { now.query[i] = Number(input.value); draw(); tell(); };
    label.append(words, input, shown);
    return {label, input, shown};
  });
  const controls = el("div", "bk-NAME-controls");
  controls.append(...sliders.map((slider) => slider.label));

  const table = el("table", "bk-NAME-table"), head = el("tr"), body = el("tbody"), thead = el("thead");
  for (const word of ["token", "q·k", "÷ √2", "weight"]) head.append(el("th", null, word, {scope: "col"}));
  thead.append(head);
  const rows = names.map((name) => {
    const row = el("tr"), dot = el("td"), score = el("td"), cell = el("td", "bk-NAME-weight"), bar = el("i"), weight = el("span");
    cell.append(bar, weight);
    row.append(el("th", null, name, {scope: "row"}), dot, score, cell);
    body.append(row);
    return {dot, score, bar, weight};
  });
  table.append(thead, body);
  const said = el("p", "bk-NAME-said"), speech = speaker(), main = el("div", "bk-NAME-main");
  main.append(left.side, right.side);
  left.side.append(controls, table);
  right.side.append(said);
  box.append(top, main, speech.node);
  root.append(box);

  function draw() {
    const {scores, softmax, sum} = weights(), [x, y] = at(now.query, reach), end = at(sum, far), middle = SIDE / 2;
    arrow.setAttribute("d", `M${middle} ${middle}L${x.toFixed(1)} ${y.toFixed(1)}`);
    for (const circle of [tip, grip]) { circle.setAttribute("cx", x.toFixed(1)); circle.setAttribute("cy", y.toFixed(1)); }
    output.setAttribute("cx", end[0].toFixed(1));
    output.setAttribute("cy", end[1].toFixed(1));
    rows.forEach((row, i) => {
      row.dot.textContent = say(scores[i] * ROOT, 1);
      row.score.textContent = say(scores[i]);
      row.weight.textContent = say(softmax[i]);
      row.bar.style.setProperty("--weight", softmax[i].toFixed(3));
      const key = at(keys[i], reach), value = at(values[i], far), thick = (0.4 + 7 * softmax[i]).toFixed(1);
      left.lines[i].setAttribute("d", `M${x.toFixed(1)} ${y.toFixed(1)}L${key.map((v) => v.toFixed(1)).join(" ")}`);
      right.lines[i].setAttribute("d", `M${end.map((v) => v.toFixed(1)).join(" ")}L${value.map((v) => v.toFixed(1)).join(" ")}`);
      for (const line of [left.lines[i], right.lines[i]]) line.setAttribute("stroke-width", thick);
    });
    sliders.forEach((slider, i) => {
      slider.input.value = now.query[i];
      slider.shown.textContent = say(now.query[i], 1);
      slider.input.setAttribute("aria-valuetext", slider.shown.textContent);
    });
    said.textContent = `Query ${pair(now.query)}. Weighted sum ${pair(sum, 2)}.`;
  }
  function tell() {
    const {softmax} = weights();
    speech.say(`${said.textContent} Weights: ${names.map((name, i) => `${name} ${say(softmax[i])}`).join(", ")}.`);
  }
  function put(x, y) { now.query = [x, y].map((v) => Math.round(10 * limit(v, -reach, reach)) / 10); draw(); tell(); }
  function move(event) {
    const seen = left.map.getBoundingClientRect();
    put((2 * (event.clientX - seen.left) / seen.width - 1) * reach, (1 - 2 * (event.clientY - seen.top) / seen.height) * reach);
  }
  // Only the tip holds the page still under a finger; anywhere else a tap sets the query and a swipe scrolls.
  grip.addEventListener("pointerdown", (event) => { event.preventDefault(); grip.setPointerCapture(event.pointerId); });
  grip.addEventListener("pointermove", (event) => { if (grip.hasPointerCapture(event.pointerId)) move(event); });
  left.map.addEventListener("click", move);
  host.bookkit = {now, put, weights};
  draw();
}
